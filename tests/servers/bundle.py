"""Bundles to install from, as `make bundle` makes them, without the network."""

import subprocess
import sys
from pathlib import Path

from tests.servers.wheelhouse import REPO, edgeapp_wheel, wheelhouse


def bundle(folder: Path, version: str | None = None) -> Path:
    """Fill a folder with all that `install.sh` needs; at will, edgeapp calls itself another version."""
    own = edgeapp_wheel(folder.with_name(f"{folder.name}.own"), version)
    return assemble(folder, [*sorted(wheelhouse().glob("*.whl")), own])


def assemble(folder: Path, wheels: list[Path]) -> Path:
    """Make a bundle of these wheels, for the Python that runs this."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([REPO / "deploy/bundle.sh", folder, python, *wheels], check=True)
    return folder
