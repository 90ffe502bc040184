"""Bundles of an edgeapp that is one small file, installed by a pip that is another: quick to install."""

import zipfile
from pathlib import Path

from edgeapp.service.systemd.drop_ins import MARK
from tests.servers.bundle import assemble

EDGEAPP = """
import os, pathlib, signal, socket, sys, time
VERSION, MANNER = {version!r}, {manner!r}
MARK = {mark!r} + "# By version "
def main():
    command = sys.argv[1]
    if command == "--version":
        print(VERSION)
    elif command == "check":
        for file in pathlib.Path(os.environ["CONFIGURATION_DIRECTORY"]).rglob("*.yaml"):
            if MANNER == "strict" and "old_option" in file.read_text():
                return file.name + ": old_option is no more"
    elif command == "service" and "--help" not in sys.argv:
        drop_in = pathlib.Path(sys.argv[-1]) / "10-user.conf"
        if not drop_in.exists() or drop_in.read_text() != MARK + VERSION:
            drop_in.write_text(MARK + VERSION)
    elif command == "run":
        if MANNER == "crashing":
            return 1
        if MANNER == "refusing":
            return 78
        if MANNER != "never well":
            if MANNER != "ill":
                healthy = pathlib.Path("/var/lib/edgeapp/healthy")
                healthy.write_text(os.environ["EDGEAPP_START_ID"])
            while manager := os.environ.get("NOTIFY_SOCKET"):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
                    to.sendto(b"READY=1\\nWATCHDOG=1", manager)
                time.sleep(1)
        signal.pause()
"""
QUIET = (
    "import os\nassert os.environ['ORT_DISABLE_TELEMETRY'] == '1', 'it is not told to be quiet'\n"
)
BROKEN = "raise ImportError('libbroken.so.1: cannot open shared object file')\n"
PIP = """
import os, sys, zipfile
site = f"{sys.prefix}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
for name in open(sys.argv[sys.argv.index("--requirement") + 1]).read().split():
    print("unpacking", name)
    zipfile.ZipFile(name).extractall(site)
script = sys.prefix + "/bin/edgeapp"
with open(script, "w") as file:
    file.write(f"#!{sys.executable}\\nimport sys, edgeapp\\nsys.exit(edgeapp.main())\\n")
os.chmod(script, 0o755)
"""
VERSIONS = """
def Version(text):
    return tuple(map(int, text.split(".")))
"""


def small_bundle(folder: Path, version: str, manner: str = "well") -> Path:
    """A bundle of a version that behaves in a certain manner.

    It is "well", or "strict" about the configuration, "crashing" at its start, "refusing" to start,
    "never well", "ill" though it runs, or there is a package that this machine "cannot load".
    """
    own = EDGEAPP.format(version=version, manner=manner, mark=MARK)
    native = BROKEN if manner == "cannot load" else QUIET
    wheels = folder.with_name(f"{folder.name}.wheels")
    wheels.mkdir()
    return assemble(
        folder,
        [
            _wheel(wheels, "edgeapp", version, {"edgeapp/__init__.py": own}),
            _wheel(wheels, "native", "1", {"native/__init__.py": native}, pure=False),
            _wheel(
                wheels,
                "pip",
                "1",
                {
                    "pip/__main__.py": PIP,
                    "pip/__init__.py": "",
                    "pip/_vendor/__init__.py": "",
                    "pip/_vendor/packaging/__init__.py": "",
                    "pip/_vendor/packaging/version.py": VERSIONS,
                },
            ),
        ],
    )


def _wheel(
    folder: Path, name: str, version: str, files: dict[str, str], *, pure: bool = True
) -> Path:
    """A wheel as far as somebody reads it."""
    info = f"{name}-{version}.dist-info"
    record = "".join(f"{path},,\n" for path in files)
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\n",
        f"{info}/RECORD": record,
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
    return path
