"""The installed service under a real systemd: how long it takes to start, to stop, and to go back.

Measured by the tests of tests/systemd, on the machine that they boot.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.compare import REPO, Row

TESTS = ("test_service.py", "test_stalls.py", "test_going_back.py")
STOP_S = 5.0
HANG_S, WATCHDOG_S = 2.0, 15.0
"""Of the stages that stall there, and WatchdogSec of the unit."""
STALLED = "stalled "


def rows() -> list[Row]:
    """Run those tests; a failed one fails the first row, whatever it measured before."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures.json")
        tests = [f"tests/systemd/{name}" for name in TESTS]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *tests],
            cwd=REPO,
            env={**os.environ, "EDGEAPP_FIGURES": str(figures)},
            capture_output=True,
            text=True,
            check=False,
        )
        last = (done.stdout.strip().splitlines() or [""])[-1]
        if not figures.exists():
            return [Row("service under a real systemd", "shown", last, ok=None)]
        taken: dict[str, float] = json.loads(figures.read_text())
    shown = Row("service under a real systemd", "shown", last, ok=done.returncode == 0)
    return [shown, *(_row(what, took_s) for what, took_s in taken.items() if what != "install.sh")]


def _row(what: str, took_s: float) -> Row:
    bound_s: float | None = None
    if what.startswith("stop"):
        bound_s = STOP_S
    elif what.startswith(STALLED):
        bound_s = WATCHDOG_S if "loop" in what or "interpreter" in what else HANG_S + WATCHDOG_S
        bound_s += 1.0  # the process is ended then, which takes a moment
    told = "" if bound_s is None else f"<= {bound_s:.0f} s"
    ok = None if bound_s is None else took_s <= bound_s
    return Row(f"service: {what}", told, f"{took_s:.1f} s", ok)


if __name__ == "__main__":
    for row in rows():
        print(row)
