"""Every acceptance measurement, with its bound, as the table `docs/acceptance.md`.

Timings are ratios of alternating runs; what a test shows is shown by running that test here and
now, and the figures that it prints stand beside it. Takes half an hour. Exit code 1: a bound was
missed.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from benchmarks import (
    camera_cost,
    hog,
    instructions,
    light_pipelines,
    startup,
    threads,
    vibration_features,
    whut_matrix,
    windows,
)
from benchmarks.compare import REPO, Row

COST: Sequence[Callable[[], list[Row]]] = (
    camera_cost.rows,
    light_pipelines.rows,
    windows.rows,
    hog.rows,
    threads.rows,
    startup.rows,
    instructions.rows,
    vibration_features.rows,
    whut_matrix.rows,
)

SHOWN = {
    "smart camera: clip, network camera frozen, killed, returned": "tests/pipelines",
    "20 expected frames; mutated decoders fail": "tests/models/decoders",
    "schemas; 24 mutated messages are rejected": "tests/outputs",
    "mosquitto killed, restarted; last will; embedded broker": "tests/uplink",
    "network camera: silence, loss, return, passwords": "tests/sources",
    "vibration: spectra, velocity, bearing lines, WHUT": "tests/transforms",
    "models: held-out accuracy; no socket, no file outside": "tests/models",
    "bad input, bad plugins, bad devices; SIGTERM at 50 instants": "tests/faults",
    "20,000 fuzzed configs": "tests/plan",
    "laws of counts, keys and losses for random pipelines": "tests/runtime",
    "fresh Debian 12: README's commands, then without network": "tests/fresh",
}


def main() -> int:
    """Measure everything, print each row as it comes, write the table."""
    rows: list[Row] = []
    for measure in COST:
        rows += _said(measure)
    for what, tests in SHOWN.items():
        rows += _said(partial(shown, what, tests))
    table = "\n".join(_markdown(row) for row in rows)
    (REPO / "docs" / "acceptance.md").write_text(
        f"""# Acceptance

Written by `make accept` on {datetime.now(UTC):%Y-%m-%d}: {_machine()}. Timings on a shared machine
are noisy; ratios come from alternating runs, medians of five or more rounds.

| what | bound | measured | | more |
| --- | --- | --- | --- | --- |
{table}
""",
        encoding="utf-8",
    )
    return 1 if any(row.ok is False for row in rows) else 0


def _said(measure: Callable[[], list[Row]]) -> list[Row]:
    try:
        rows = measure()
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        rows = [Row(_name(measure), "", "failed", False, str(error)[-300:])]
    for row in rows:
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    return rows


def _name(measure: Callable[[], list[Row]]) -> str:
    if isinstance(measure, partial):
        return str(measure.args[0])
    return measure.__module__


def shown(what: str, tests: str) -> list[Row]:
    """Run tests, slow ones too; what they print is their measurement."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", tests],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    lines = [line.strip(". ") for line in done.stdout.splitlines()]
    last = lines[-1] if lines else ""
    counts = re.search(r"\d+ (passed|failed|skipped).*", last)
    figures = [line for line in lines[:-1] if re.search(r"\d", line) and len(line) < 200]
    return [
        Row(
            what,
            "passes",
            (counts[0] if counts else last or "nothing ran").split(" in ")[0],
            done.returncode == 0 and "passed" in done.stdout,
            "; ".join(figures[-6:]),
        )
    ]


def _machine() -> str:
    packages = ("onnxruntime", "opencv-python-headless", "numpy", "aiomqtt")
    parts = ", ".join(f"{name} {version(name)}" for name in packages)
    cores = os.cpu_count()
    return f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {parts}"


def _markdown(row: Row) -> str:
    verdict = {True: "ok", False: "**missed**", None: ""}[row.ok]
    cells = (row.what, row.bound, row.measured, verdict, row.detail)
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
