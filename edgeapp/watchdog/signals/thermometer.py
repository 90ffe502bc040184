"""One temperature sensor: its unit, and whether what it says can be true."""

import re
from collections.abc import Callable

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.values import Problem, problem_of, whole
from edgeapp.watchdog.tick import SensorKind, SensorReading

COLDEST_C = -40.0
HOTTEST_C = 125.0
"""Beyond, no electronics works: -89.7 is a dead Coral, -273 and 127 are registers that were never
written."""
RATE_K_PER_S = {"die": 40.0, "board": 5.0, "other": 20.0}
"""A small die under a turbo clock does rise by 35 K within a second."""
JITTER_K = 3.0
"""What any reading may differ from the one before, however short the time between them."""
OTHERS_EVERY_S = 10.0
"""Sensors that neither die nor board depends on are read that often."""
MOST_SHARE = 0.02
"""Of the time a sensor may take to answer: one that takes 100 ms is read every 5 s."""
STALE_S = 30.0
"""Older values of a sensor that answers slowly are not given any more."""

_SURELY_THOUSANDTHS = 1000
_LEAST_DEGREES = 12
_DEGREES = re.compile(rb"\s*([+-]?[0-9]{1,4}\.[0-9]{1,6})\s*")


class Thermometer:
    """A sensor and what it said before. Its file may move: `path` is set anew at each probing.

    Whether a value is frozen is not judged here: an idle device may well stay at one temperature,
    and only who knows the load can tell. One thread.
    """

    def __init__(self, name: str, kind: SensorKind, path: str) -> None:
        self.name = name
        self.kind = kind
        self.path: str | None = path
        """None: it was there, and is not any more."""
        self._reading = SensorReading(name, kind, None, "missing")
        self._last_c: float | None = None
        self._last_ns = 0
        self._due_ns = 0
        self._in_thousandths = False

    def read(self, files: Files, now_ns: Callable[[], int]) -> SensorReading:
        """What it says now, or said last if it is not due yet. Never raises."""
        if self.path is None:
            self._reading = SensorReading(self.name, self.kind, None, "missing")
            return self._reading
        began_ns = now_ns()
        if began_ns < self._due_ns:
            if self.kind != "other" and began_ns - self._last_ns > STALE_S * NS:
                return SensorReading(self.name, self.kind, None, "stale")
            return self._reading
        value: float | None = None
        problem: Problem
        try:
            text = files.read(self.path)
        except OSError as error:
            problem = problem_of(error)
        else:
            value = self._celsius(text)
            problem = "garbage" if value is None else self._judge(value, began_ns)
        took_ns = now_ns() - began_ns
        pause_ns = OTHERS_EVERY_S * NS if self.kind == "other" else 0
        self._due_ns = began_ns + int(max(pause_ns, took_ns / MOST_SHARE))
        self._reading = SensorReading(
            self.name, self.kind, None if problem == "range" else value, problem
        )
        return self._reading

    def _celsius(self, text: bytes) -> float | None:
        """A whole number is thousandths of a degree; but some drivers give degrees.

        12 as thousandths would be a die at the very point of freezing, so 12..125 are degrees; unless
        the same sensor has shown by a larger number that it counts in thousandths.
        """
        number = whole(text)
        if number is None:
            match = _DEGREES.fullmatch(text)
            return float(match[1]) if match else None
        if abs(number) >= _SURELY_THOUSANDTHS:
            self._in_thousandths = True
        if not self._in_thousandths and _LEAST_DEGREES <= number <= HOTTEST_C:
            return float(number)
        return number / 1000

    def _judge(self, value: float, now_ns: int) -> Problem:
        if not COLDEST_C <= value <= HOTTEST_C:
            return "range"
        before, before_ns = self._last_c, self._last_ns
        self._last_c, self._last_ns = value, now_ns
        if before is None:
            return ""
        possible_k = RATE_K_PER_S[self.kind] * (now_ns - before_ns) / NS + JITTER_K
        return "rate" if abs(value - before) > possible_k else ""
