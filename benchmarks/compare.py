"""Fair comparison on a noisy machine: alternating runs, each in its own process, medians.

A worker is a script that prints one JSON object as its last line. Times of different rounds are
never mixed: each round gives a ratio, and the median of the ratios is what counts.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
DATA = Path(os.environ.get("EDGEAPP_DATA") or REPO.parent / "shared" / "data")

Reading = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the acceptance table."""

    what: str
    bound: str
    measured: str
    ok: bool | None
    """None: reported, not judged."""
    detail: str = ""

    def __str__(self) -> str:
        """For a terminal."""
        verdict = {True: "ok", False: "MISSED", None: ""}[self.ok]
        return f"{self.what:<58} {self.bound:>14} {self.measured:>18}  {verdict} {self.detail}"


def worker(module: str, *args: object, environment: Mapping[str, str] | None = None) -> Reading:
    """Run a worker, a module of this folder, to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, args)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **(environment or {})},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module} {args} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    reading: Reading = json.loads(done.stdout.strip().splitlines()[-1])
    return reading


def alternate(
    ours: Sequence[object], theirs: Sequence[object], *, rounds: int = 5
) -> list[tuple[Reading, Reading]]:
    """Readings of both workers, taken in turns, the order swapped each round."""
    pairs = []
    for round_ in range(rounds):
        order = [ours, theirs] if round_ % 2 == 0 else [theirs, ours]
        readings = {id(args): worker(*map(str, args)) for args in order}
        pairs.append((readings[id(ours)], readings[id(theirs)]))
    return pairs


def median_ratio(pairs: Sequence[tuple[Reading, Reading]], key: str) -> float:
    """The median over the rounds of ours / theirs."""
    return float(statistics.median(ours[key] / theirs[key] for ours, theirs in pairs))


def spread(pairs: Sequence[tuple[Reading, Reading]], key: str) -> str:
    """Lowest and highest ratio, for the reader who wonders about noise."""
    ratios = sorted(ours[key] / theirs[key] for ours, theirs in pairs)
    return f"rounds {ratios[0]:.3f} to {ratios[-1]:.3f}"


def at_most(what: str, value: float, bound: float, detail: str = "") -> Row:
    """A row for a ratio that must not exceed its bound."""
    return Row(what, f"<= {bound:.2f}x", f"{value:.3f}x", value <= bound, detail)
