"""Promises about the project as a whole."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.discover import Registry

HEAVY = ("cv2", "numpy", "onnxruntime", "sqlite3", "aiomqtt", "textual")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


REPORT = f"""
import atexit, sys
atexit.register(lambda: print("heavy:", *[name for name in {HEAVY!r} if name in sys.modules]))
"""


def test_import_is_light() -> None:
    """`import edgeapp` loads nothing heavy."""
    done = python(REPORT + "import edgeapp")
    assert done.stdout.splitlines()[-1].split() == ["heavy:"], done.stderr


COMMANDS = (
    *("", "run", "check", "graph", "plugins", "schema", "tap", "bench"),
    *("record", "replay", "test", "new", "status", "tune", "reload", "listen"),
    *("outbox", "outbox status", "outbox peek", "outbox purge", "service", "service dropins"),
    *("thermal", "thermal record", "thermal simulate", "thermal fit", "calibrate"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_light_and_ends_with_an_example(command: str) -> None:
    """`--help` of every command loads nothing heavy and ends with something to copy."""
    code = REPORT + "import sys; from edgeapp.cli import main; sys.argv[0] = 'edgeapp'; main()"
    done = python(code, *command.split(), "--help")
    *text, heavy = done.stdout.rstrip().splitlines()
    assert done.returncode == 0, done.stderr
    assert heavy.split() == ["heavy:"]
    assert any("edgeapp " + command in line for line in text[-5:]), text


def test_a_pipeline_that_sends_nothing_loads_no_store_and_no_client(tmp_path: Path) -> None:
    """A device that needs no broker pays for none."""
    (tmp_path / "device.yaml").write_text("device: quiet\ndata_dir: data\n")
    (tmp_path / "quiet.yaml").write_text(
        "name: quiet\nstages:\n  sensor: {source: bearing, duration_s: 2, speed: fast}\n"
        "  second: {transform: window, length_s: 1.0, hop_s: 1.0}\n"
        "  numbers: {transform: features}\n  note: {output: jsonl, file: numbers.jsonl}\n"
    )
    code = REPORT + "import sys; from edgeapp.cli import main; sys.exit(main())"
    given = [str(tmp_path / "quiet.yaml"), "--device", str(tmp_path / "device.yaml")]
    done = python(code, "run", "--plain", *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["heavy:", "numpy"]


def test_python_versions_agree(repo: Path) -> None:
    """Set-up accepts the Pythons that pyproject.toml names, and tells people the same."""
    project = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c]
    first, last = named[0], named[-1]
    minor_after = int(last.partition(".")[2]) + 1
    assert project["requires-python"] == f">={first},<3.{minor_after}"
    setup = (repo / "deploy/setup.sh").read_text()
    assert " ".join(f"python{version}" for version in reversed(named)) in setup
    assert f"{first} to {last}" in setup


def test_every_dependency_is_pinned(repo: Path) -> None:
    """constraints.txt names a tested release of everything that pyproject.toml asks for."""
    pyproject = tomllib.loads((repo / "pyproject.toml").read_text())
    groups = [
        pyproject["project"]["dependencies"],
        *pyproject["project"]["optional-dependencies"].values(),
        *pyproject["dependency-groups"].values(),
    ]
    asked = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for g in groups for requirement in g}
    pinned = {
        line.partition("==")[0] for line in (repo / "constraints.txt").read_text().splitlines()
    }
    missing = {name.lower().replace("_", "-") for name in asked} - pinned - {"edgeapp"}
    assert not missing, "run `make lock`"


def test_nothing_large_is_committed(repo: Path, system_program: Callable[[str, str], str]) -> None:
    """Models, clips and recordings of others stay out; whatever is in is below 1 MB."""
    git = system_program("git", "git")
    if not (repo / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "-C", str(repo), "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout.split("\0")
    files = [repo / name for name in listed if name]
    large = [file for file in files if file.is_file() and file.stat().st_size > 1_000_000]
    assert files
    assert not large


def test_every_option_is_described() -> None:
    """Every option of every built-in tells users what it is; every built-in, what it does."""
    registry = Registry()
    plugins = [registry.find(kind, name) for kind, name in BUILTINS]
    silent = [
        f"{plugin.name}.{name}"
        for plugin in plugins
        for name, field in plugin.options.model_fields.items()
        if not field.description
    ]
    assert not silent
    assert not [plugin.name for plugin in plugins if not plugin.summary.endswith(".")]


def test_every_built_in_is_documented(repo: Path) -> None:
    """docs/architecture.md names every plugin that comes along."""
    words = set(re.findall(r"\w+", (repo / "docs/architecture.md").read_text(encoding="utf-8")))
    missing = {name for _, name in BUILTINS} - words
    assert not missing
