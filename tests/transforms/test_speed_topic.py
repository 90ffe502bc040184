"""`machine_health` with a speed that somebody else publishes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import Arrived, At, Event, FakeClock, Watched
from edgeapp.testing import context, packets
from edgeapp.testing.stage import LogBook
from edgeapp.transforms._speed_topic import SpeedTopic
from edgeapp.transforms.machine_health import MachineHealth
from edgeapp.transforms.machine_health_options import MachineHealthOptions
from tests.transforms.test_machine_health import GROUP_2, NS, PROMPT, of, shaking

TOPIC = "plant/pump7/rpm"


class Told:
    """A topic on which a test publishes."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._latest: Arrived | None = None
        self.topics: list[str] = []

    def watch(self, topic: str) -> Watched:
        self.topics.append(topic)
        return self

    def latest(self) -> Arrived | None:
        return self._latest

    def say(self, payload: bytes | str) -> None:
        payload = payload.encode() if isinstance(payload, str) else payload
        self._latest = Arrived(payload, self._clock.now_ns())


class Pump:
    """The stage on a machine whose speed is published; a window each second."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = FakeClock()
        self.told = Told(self.clock)
        self.log = LogBook()
        around = context("health", log=self.log, clock=self.clock, state_dir=folder)
        checked = MachineHealthOptions.model_validate(
            {**PROMPT, "speed_topic": TOPIC, "latch": False, **options}
        )
        self.stage = MachineHealth(checked, replace(around, watch=self.told.watch))
        self.stage.__enter__()
        self.now_s = 0

    def see(self, mm_s: float) -> list[Event]:
        """What comes of the next window."""
        self.now_s += 1
        self.clock.set_ns(self.now_s * NS)
        packet = next(iter(packets([shaking(mm_s)], rate_hz=1)))
        came = self.stage.process(packet._replace(t_ns=self.now_s * NS, span_ns=NS))
        return [result.value if isinstance(result, At) else result for result in came]


def test_the_published_speed_says_when_a_machine_runs(tmp_path: Path) -> None:
    pump = Pump(tmp_path)
    assert pump.told.topics == [TOPIC]
    pump.told.say("120")
    assert pump.see(9.0) == []  # below min_speed_rpm: it stands, or nearly
    pump.told.say("1480.5")
    zone, alarm = pump.see(9.0)
    assert (zone.kind, alarm.kind) == ("zone", "alarm")
    assert zone.facts["speed_rpm"] == 1480.5
    pump.told.say("0")
    assert sorted(event.phase for event in pump.see(9.0)) == ["end", "end"]


def test_a_speed_that_is_too_old_is_unknown_and_leaves_the_alarm_as_it_is(tmp_path: Path) -> None:
    pump = Pump(tmp_path, speed_max_age_s=2.5)
    pump.told.say("1480")
    assert of(pump.see(9.0), "alarm") == ["new"]
    assert pump.see(0.1) != []  # judged: another zone, the alarm over
    pump.told.say("1480")
    for _ in range(2):
        pump.see(9.0)
    ended = pump.see(0.1)  # nobody has said anything for three seconds
    assert [(event.kind, event.phase) for event in ended] == [("zone", "end")]
    pump.told.say("1480")
    assert [event.kind for event in pump.see(0.1)] == ["zone", "alarm"]


def test_before_the_first_message_nothing_is_judged(tmp_path: Path) -> None:
    pump = Pump(tmp_path)
    assert pump.see(9.0) == pump.see(9.0) == []


def test_the_warm_up_begins_again_after_a_silence(tmp_path: Path) -> None:
    """Nobody knows what the machine did meanwhile."""
    pump = Pump(tmp_path, speed_max_age_s=1.5, warm_up_s=3)
    judged = []
    for second in range(12):
        if second not in {6, 7}:
            pump.told.say("1480")
        judged.append(bool(of(pump.see(1.0), "zone")))
    assert [second for second, new in enumerate(judged) if new] == [
        2,
        6,
        10,
    ]  # begins, ends, begins


@pytest.mark.parametrize(
    ("payload", "options", "rpm"),
    [
        ("1480", {}, 1480.0),
        (" 1480.25\n", {}, 1480.25),
        ("-900", {}, 900.0),
        ("1e3", {}, 1000.0),
        ("25", {"speed_unit": "hz"}, 1500.0),
        ('{"rpm": 1200, "t": "now"}', {"speed_field": "rpm"}, 1200.0),
    ],
)
def test_a_number_or_a_field_of_an_object(
    payload: str, options: dict[str, Any], rpm: float, tmp_path: Path
) -> None:
    pump = Pump(tmp_path, **options)
    pump.told.say(payload)
    [zone] = [event for event in pump.see(1.0) if event.kind == "zone"]
    assert zone.facts["speed_rpm"] == rpm


BAD = [b"", b"fast", b"\xff\xfe", b"NaN", b"-Infinity", b"1" + b"0" * 400, b"9" * 5000, b"true", b'"9"',
       b"[1480]", b"{}", b"null", b"[" * 100_000, b" " * 70_000 + b"1"]  # fmt: skip


def test_what_is_no_speed_is_ignored_and_logged_boundedly(tmp_path: Path) -> None:
    """The last good one counts until it is too old."""
    pump = Pump(tmp_path)
    pump.told.say("1480")
    assert pump.see(1.0)
    for bad in BAD * 3:
        pump.told.say(bad)
        assert pump.see(1.0) == [] or pump.now_s > 30
    assert pump.log.said("warning") == ["speed cannot be read"] * 6
    assert max(len(facts["payload"]) for _, _, facts in pump.log.events) <= 80
    assert pump.log.events[-1][2]["so_far"] == 32


@given(st.binary(max_size=60), st.sampled_from([None, "rpm"]))
def test_no_payload_stops_the_stage(payload: bytes, field: str | None) -> None:
    clock = FakeClock()
    told = Told(clock)
    told.say(payload)
    speed = SpeedTopic(
        told, field=field, per_turn=1.0, max_age_ns=NS, clock=clock, log=LogBook()
    ).rpm()
    assert speed is None or 0 <= speed < 1e9


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"speed_topic": "plant/+/rpm"}, "one topic in full, without '+' and '#'"),
        ({"speed_topic": "plant/#"}, "one topic in full"),
        ({"speed_topic": ""}, "one topic in full"),
        ({"speed_topic": TOPIC, "tacho_channel": "t"}, "only one of tacho_channel, speed_topic"),
        ({"speed_topic": TOPIC, "speed_rpm": 1480}, "only one of speed_rpm, speed_topic"),
        ({"speed_field": "rpm"}, "speed_field needs a topic: give speed_topic too"),
        ({"speed_max_age_s": 5}, "speed_max_age_s needs a topic"),
        ({"speed_topic": TOPIC, "pulses_per_rev": 2}, "pulses_per_rev needs a tacho"),
    ],
)
def test_speeds_that_do_not_go_together_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says.replace("+", r"\+")):
        MachineHealthOptions.model_validate({**GROUP_2, **options})
