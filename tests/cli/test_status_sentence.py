"""The sentence for `systemctl status`."""

from typing import Any

from edgeapp.cli.status_sentence import MOST_PIPELINES, sentence
from edgeapp.runtime.status import PipelineStatus
from edgeapp.service.recent import Recent
from tests.cli.scenes import stage

CONNECTED = {
    "connected": True,
    "outbox_waiting_messages": 0,
    "outbox_in_flight_messages": 0,
}


def pipeline(name: str, state: Any = "running", why: str = "", done: int = 0) -> PipelineStatus:
    stages = (
        stage("cam", "source", "camera", done=2 * done),
        stage("detect", "model", "detector", done=done, variant="person-416"),
    )
    return PipelineStatus(name, state, why, stages)


def said(*now: PipelineStatus, uplink: Any = CONNECTED, celsius: float | None = 71.2) -> str:
    recent = Recent()
    recent.add(0.0, [pipeline(one.name) for one in now])
    recent.add(5.0, now)
    return sentence(now, recent, {"die_celsius": celsius}, uplink)


def test_all_is_well() -> None:
    assert said(pipeline("porch", done=74)) == "porch 14.8/s at person-416, 71 °C, outbox 0"


def test_trouble_comes_first() -> None:
    waiting = pipeline("hall", "waiting", "mic: this machine has no microphone")
    stuck = pipeline("yard", "stuck", "detect: in one call for 31 s")
    text = said(pipeline("porch", done=74), waiting, stuck)
    assert text == (
        "yard stuck: detect: in one call for 31 s, hall waiting for mic: this machine has no "
        "microphone, porch 14.8/s at person-416, 71 °C, outbox 0"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert said(pipeline("porch"), uplink=None, celsius=None) == "porch 0/s at person-416"
    assert said(celsius=None) == "no pipelines, outbox 0"


def test_a_broker_that_is_away_and_what_waits_for_it() -> None:
    away = CONNECTED | {"connected": False, "outbox_waiting_messages": 1_204}
    assert said(pipeline("porch"), uplink=away).endswith("71 °C, broker away, outbox 1,204")


def test_it_stays_short_and_on_one_line() -> None:
    many = [pipeline(f"p{n}", "failed", "it broke\nREADY=1 " + 1_000 * "x") for n in range(40)]
    text = said(*many)
    assert len(text) < 100 * MOST_PIPELINES + 100
    assert f"{40 - MOST_PIPELINES} more" in text
    assert "\n" not in text
