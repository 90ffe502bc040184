"""The wheels that an installation needs, fetched once: what the network is needed for."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def cache() -> Path:
    """What tests fetch or build once and keep."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeapp-tests"
    return Path(os.environ.get("EDGEAPP_TEST_CACHE") or home)


def wheelhouse() -> Path:
    """A folder with all that edgeapp needs to run, and pip's wheel; edgeapp's own is not in it.

    For the Python and the processor that run this. Kept in the cache of the tests under what is
    required and the content of `constraints.txt`: only the first call uses the network.
    """
    key = "\n".join(requirements()).encode() + (REPO / "constraints.txt").read_bytes()
    python = f"{sys.version_info.major}.{sys.version_info.minor}-{platform.machine()}"
    folder = cache() / f"wheels-{python}-{hashlib.sha256(key).hexdigest()[:12]}"
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        only_wheels = ("--only-binary", ":all:", "--constraint", str(REPO / "constraints.txt"))
        _pip("download", *only_wheels, "--dest", str(unfinished), "pip", *requirements())
        try:
            unfinished.rename(folder)
        except OSError:  # another run was quicker
            shutil.rmtree(unfinished)
    return folder


def requirements() -> list[str]:
    """What `edgeapp[all]` names in pyproject.toml."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    (everything,) = extras["all"]
    names = everything.partition("[")[2].rstrip("]").split(",")
    return [*project["dependencies"], *(word for name in names for word in extras[name])]


def edgeapp_wheel(into: Path, version: str | None = None) -> Path:
    """Build edgeapp's own wheel from this checkout, at will as another version.

    Built anew each time, in a copy: the checkout stays untouched.
    """
    copy = into / ".source"
    shutil.rmtree(copy, ignore_errors=True)
    for name in ("pyproject.toml", "README.md"):
        copy.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, copy)
    models = Path("pipelines", "models")
    (copy / models).mkdir(parents=True)
    for name in ("conveyor_160.onnx", "conveyor_labels.txt"):
        shutil.copy(REPO / models / name, copy / models)
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "edgeapp", copy / "edgeapp", ignore=unwanted)
    if version is not None:
        init = copy / "edgeapp" / "__init__.py"
        head, _, _ = init.read_text().partition("\n__version__ = ")
        init.write_text(f'{head}\n__version__ = "{version}"\n')
    built = into / ".built"
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(copy))
    (wheel,) = built.glob("edgeapp-*.whl")
    into.mkdir(exist_ok=True)
    target = wheel.replace(into / wheel.name)
    shutil.rmtree(copy)
    built.rmdir()
    return target


def _pip(*words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words],
        check=True,
        stdin=subprocess.DEVNULL,
    )
