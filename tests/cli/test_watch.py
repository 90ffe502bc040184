"""What others write while the live view is up, and how the view ends."""

import io
import os
import signal
import threading

import pytest

from edgeapp.cli.watch import Above, GovernorFacts, WaitingLines, Watch
from edgeapp.runtime.app import App


def test_whole_lines_wait_for_the_view_and_a_begun_one_waits_for_its_end() -> None:
    lines = WaitingLines()
    above = Above(io.StringIO(), lines)
    above.write("one\ntw")
    assert lines.take() == "one\n"
    above.write("o\n")
    assert lines.take() == "two\n"
    assert lines.take() == ""


def test_lines_that_nobody_shows_are_bounded_and_the_rest_is_counted() -> None:
    lines = WaitingLines()
    for number in range(510):
        lines.put(f"{number}")
    shown = lines.take().splitlines()
    assert shown[0] == "... 10 lines left out"
    assert (shown[1], shown[-1]) == ("10", "509")


def test_lines_of_threads_do_not_mix() -> None:
    lines = WaitingLines()
    above = Above(io.StringIO(), lines)

    def write(letter: str) -> None:
        for _ in range(100):
            above.write(letter * 20 + "\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = lines.take().splitlines()
    assert len(shown) == 300
    assert {line[0] * 20 for line in shown} == set(shown)


class _ClosedOutput:
    """A show whose reader is gone."""

    period_s = 0.0

    def begin(self, app: App, governor: GovernorFacts) -> None:
        """Nothing."""

    def tick(self, app: App, elapsed_s: float) -> None:
        raise BrokenPipeError

    def end(self, app: App, elapsed_s: float) -> None:
        """Nothing."""


def test_when_nobody_reads_any_more_the_application_is_asked_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    watch = Watch(_ClosedOutput())
    watch._run(App.__new__(App), 0.0)
    assert watch.nobody_reads
    assert sent == [(os.getpid(), signal.SIGTERM)]
