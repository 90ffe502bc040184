"""The clock that limits what actions do, which leaps where a test says so."""

import time

import pytest


class Leaping:
    """Stands in for the module `time` where what is left of a limit is asked.

    So a limit can be far longer than the test lasts: a busy machine never reaches it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead_s = 0.0
        monkeypatch.setattr("edgeapp.actions._last_words.time", self)

    def monotonic(self) -> float:
        """As of the module, and all leaps so far."""
        return time.monotonic() + self._ahead_s

    def leap(self, seconds: float) -> None:
        """Let so much time be over."""
        self._ahead_s += seconds
