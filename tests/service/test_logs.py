"""Lines of the event log."""

import io
import json

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.secret import Secret
from edgeapp.service.logs import FRAMES, REPEATS, WITHIN_S, Format, format_from, set_up


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_hold_the_event_its_facts_and_what_was_bound() -> None:
    stream = io.StringIO()
    log = set_up(form="json", stream=stream)
    log.bind(pipeline="porch", stage="camera").warning(
        "unavailable", tries=3, secret=Secret("env:A")
    )
    [line] = read(stream)
    assert line.pop("time")
    assert line == {
        "level": "warning",
        "event": "unavailable",
        "pipeline": "porch",
        "stage": "camera",
        "tries": 3,
        "secret": "***",
    }


def test_text_lines_quote_what_could_be_misread() -> None:
    stream = io.StringIO()
    set_up(stream=stream).info("ready", name="two words", bad="\x1b[2J", rate_hz=29.97123)
    assert stream.getvalue().endswith(
        "info    ready  name='two words' bad='\\x1b[2J' rate_hz=29.97\n"
    )


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("error", 1)])
def test_below_the_level_nothing_is_written(level: str, lines: int) -> None:
    stream = io.StringIO()
    log = set_up(level, stream=stream)  # type: ignore[arg-type]  # a level, from the parameters
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert len(stream.getvalue().splitlines()) == lines


def dig(depth: int) -> None:
    if depth:
        dig(depth - 1)
    raise ValueError("at the bottom")


def test_a_traceback_keeps_its_innermost_frames() -> None:
    stream = io.StringIO()
    log = set_up(stream=stream)
    try:
        dig(40)
    except ValueError:
        log.error("stage raised", exc_info=True)  # noqa: G201  a Log has no `exception`
    shown = stream.getvalue()
    assert "ValueError: at the bottom" in shown
    assert shown.count("in dig") <= FRAMES
    assert len(shown.splitlines()) < 4 * FRAMES


def test_a_line_that_repeats_itself_is_held_back_and_counted() -> None:
    stream, clock = io.StringIO(), FakeClock()
    log = set_up(form="json", stream=stream, clock=clock)
    for _ in range(100):
        log.warning("packet dropped", stage="detect")
        log.warning("packet dropped", stage="other", number=clock.now_ns())
        clock.advance(0.1)
    clock.advance(WITHIN_S)
    log.warning("packet dropped", stage="detect")
    lines = [line for line in read(stream) if line["stage"] == "detect"]
    assert len(lines) == REPEATS + 1
    assert lines[-1]["repeated"] == 100 - REPEATS


def test_lines_whose_facts_differ_are_all_written() -> None:
    stream = io.StringIO()
    log = set_up(stream=stream)
    for number in range(1_000):
        log.info("result", number=number)
    assert len(stream.getvalue().splitlines()) == 1_000


def test_a_log_that_nobody_can_read_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    set_up(form="json", stream=stream).error("stage raised")


def test_the_environment_can_ask_for_json() -> None:
    assert format_from({"EDGEAPP_LOG": "json"}) == "json"
    assert format_from({}) == "text"


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_plugin_tells_of_a_secret_is_hidden(
    form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In facts of any kind, in tracebacks, for people and for machines."""
    monkeypatch.setenv("CAMERA_PASSWORD", "hunter2-of-the-porch")
    secret = Secret("env:CAMERA_PASSWORD").reveal()
    stream = io.StringIO()
    log = set_up(form=form, stream=stream)
    error = ValueError(f"cannot log in with {secret}")
    log.error("stage raised", exc_info=error, why=error, tried=[secret], at={"url": secret})
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("***") == 4
