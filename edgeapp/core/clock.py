"""Time, passed in: a monotonic clock for the device, a fake one for tests and stepped runs."""

import threading
import time
from typing import Protocol

NS = 1_000_000_000
"""Nanoseconds in a second."""


def ns(seconds: float) -> int:
    """Seconds as whole nanoseconds, rounded to the nearest."""
    return round(seconds * NS)


def samples_ns(count: int, rate_hz: float) -> int:
    """How long `count` samples last, in whole nanoseconds; exact, so that no error adds up."""
    numerator, denominator = rate_hz.as_integer_ratio()
    return count * NS * denominator // numerator


class Clock(Protocol):
    """Monotonic time and waiting. Safe to use from any thread."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed point; never goes back."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` has passed; True when it was set."""


class MonotonicClock:
    """The device's own clock; steps of the wall clock do not move it."""

    now_ns = staticmethod(time.monotonic_ns)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` has passed; True when it was set."""
        return event.wait(max(0.0, timeout_s))


class FakeClock:
    """A clock that moves only when told to; waiting moves it at once.

    Waits return immediately with the time advanced, so a test never sleeps. `set_ns` never goes
    back: time that is already past is ignored.
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        """The time that was set last, in nanoseconds."""
        return self._now_ns

    def set_ns(self, now_ns: int) -> None:
        """Move to `now_ns`, unless that is in the past."""
        with self._lock:
            self._now_ns = max(self._now_ns, now_ns)

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        with self._lock:
            self._now_ns += max(0, ns(seconds))

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Advance by `timeout_s` unless `event` is already set; True when it was."""
        if event.is_set():
            return True
        self.advance(timeout_s)
        return event.is_set()
