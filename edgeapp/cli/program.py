"""How the user called us, to print commands that can be copied as they are."""

import shutil
import sys
from pathlib import Path


def program(called: str | None = None) -> str:
    """What to type to call this program again: `edgeapp`, `.venv/bin/edgeapp`, `python -m ...`."""
    called = sys.argv[0] if called is None else called
    path = Path(called)
    if path.parts[-2:] == ("edgeapp", "__main__.py"):
        return f"{_short(Path(sys.executable))} -m edgeapp"
    if path.name != "edgeapp":  # called as a function, such as by a test
        return "edgeapp"
    found = shutil.which("edgeapp")
    if found and path.exists() and path.samefile(found):
        return "edgeapp"
    return _short(path)


def _short(path: Path) -> str:
    """Relative to the working directory where that is below it."""
    absolute = Path.cwd() / path
    return (
        str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)
    )
