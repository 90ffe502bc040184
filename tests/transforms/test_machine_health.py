"""`machine_health`: zones, alarms that latch, and what is left on disk."""

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import At, Event, Packet, Signal
from edgeapp.testing import context, packets, run_stage
from edgeapp.testing.stage import LogBook
from edgeapp.transforms._iso20816 import Limits
from edgeapp.transforms._steady import SteadyLevel
from edgeapp.transforms._tacho import speed_rpm
from edgeapp.transforms.machine_health import MachineHealth
from edgeapp.transforms.machine_health_options import MachineHealthOptions

RATE_HZ = 2_560.0
GROUP_2 = {"group": 2, "mounting": "rigid"}
PROMPT = {**GROUP_2, "for_s": 0, "clear_s": 0}
NS = 1_000_000_000


def shaking(mm_s: float, *, hz: float = 50.0, seconds: float = 1.0, rpm: float = 0.0) -> Signal:
    """A window of x with this velocity, y with half of it, and a tacho of one pulse a turn."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    x = mm_s / 1000 * 2 * np.pi * hz * np.sqrt(2) * np.sin(2 * np.pi * hz * t)
    tacho = (t * rpm / 60 % 1 < 0.3).astype(float) * 5 if rpm else 0 * t
    samples = np.stack([x + 9.81, x / 2, tacho]).astype(np.float32)
    return Signal(samples, RATE_HZ, ("x", "y", "tacho"), ("m/s²", "m/s²", "V"))


@pytest.fixture(autouse=True)
def _folders_go_with_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


class Driven:
    """The stage, driven by hand: a window each second."""

    def __init__(self, folder: Path | None = None, **options: Any) -> None:
        self.log = LogBook()
        folder = folder or Path(tempfile.mkdtemp())
        self.context = context("health", log=self.log, state_dir=folder)
        self.stage = MachineHealth(
            MachineHealthOptions.model_validate({**PROMPT, **options}), self.context
        )
        self.stage.__enter__()
        self.now_s = 0
        self.epoch = 0
        self.events: list[Event] = []

    def see(self, *velocities: float, **how: Any) -> list[Event]:
        """What comes of one window for each velocity."""
        came: list[Event] = []
        for mm_s in velocities:
            self.now_s += 1
            packet: Packet[Signal] = next(iter(packets([shaking(mm_s, **how)], rate_hz=1)))
            packet = packet._replace(t_ns=self.now_s * NS, span_ns=NS, epoch=self.epoch)
            came += [
                result.value if isinstance(result, At) else result
                for result in self.stage.process(packet)
            ]
        self.events += came
        return came

    def stop(self) -> list[Event]:
        came = list(self.stage.flush())
        self.events += came
        return came


def of(events: Iterable[Event], kind: str) -> list[str]:
    return [event.phase for event in events if event.kind == kind]


def only(events: Sequence[Event], kind: str) -> Event:
    (event,) = [event for event in events if event.kind == kind]
    return event


# Zones


@pytest.mark.parametrize(
    ("limits", "mm_s"),
    [
        (Limits.of_group("iso20816-3", 1, "rigid"), (2.3, 4.5, 7.1)),
        (Limits.of_group("iso20816-3", 1, "flexible"), (3.5, 7.1, 11.0)),
        (Limits.of_group("iso20816-3", 2, "rigid"), (1.4, 2.8, 4.5)),
        (Limits.of_group("iso10816-3", 2, "flexible"), (2.3, 4.5, 7.1)),
        (Limits.of_class("I"), (0.71, 1.8, 4.5)),
        (Limits.of_class("II"), (1.12, 2.8, 7.1)),
        (Limits.of_class("III"), (1.8, 4.5, 11.2)),
        (Limits.of_class("IV"), (2.8, 7.1, 18.0)),
    ],
)
def test_limits_are_those_of_the_standards(
    limits: Limits, mm_s: tuple[float, float, float]
) -> None:
    assert limits.mm_s == mm_s
    assert [limits.zone(limit) for limit in (0.0, *mm_s)] == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("mm_s", "zone"), [(1.3, "A"), (1.5, "B"), (2.7, "B"), (2.9, "C"), (4.4, "C"), (4.6, "D")]
)
def test_a_zone_is_named_with_edition_group_limits_and_what_was_measured(
    mm_s: float, zone: str
) -> None:
    event = only(Driven().see(mm_s), "zone")
    assert (event.phase, event.label) == ("new", "test")
    assert event.facts == {
        "zone": zone,
        "standard": "ISO 20816-3:2022",
        "group": "group 2, rigid",
        "limits_mm_s": "1.4 / 2.8 / 4.5",
        "velocity_mm_s": pytest.approx(mm_s, rel=1e-3),
        "channel": "x",
    }


def test_other_standards_are_named_as_they_are() -> None:
    old = Driven(standard="iso10816-1", group=None, mounting=None, machine_class="III")
    event = only(old.see(2.0), "zone")
    assert (event.facts["standard"], event.facts["group"]) == ("ISO 10816-1:1995", "class III")
    assert event.facts["zone"] == "B"


def test_a_zone_ends_when_the_next_begins_and_nothing_comes_between() -> None:
    driven = Driven()
    assert of(driven.see(1, 1, 1), "zone") == ["new"]
    changed = driven.see(2, 2)
    assert of(changed, "zone") == ["end", "new"]
    assert changed[0].facts["zone"] == "A"
    assert of(driven.stop(), "zone") == ["end"]


def test_a_short_knock_changes_no_zone_and_raises_no_alarm() -> None:
    driven = Driven(for_s=3)
    assert [e.facts["zone"] for e in driven.see(1, 1, 1, 1, 9, 9, 9, 1, 1)] == ["A"]
    assert of(driven.see(9, 9, 9, 9), "alarm") == ["new"]


def test_a_velocity_just_below_its_limit_stays_in_the_zone() -> None:
    driven = Driven(hysteresis=0.1)
    assert of(driven.see(3.0, 2.6, 2.9, 2.55), "zone") == ["new"]
    assert of(driven.see(2.5), "zone") == ["end", "new"]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5)), max_size=60),
    st.integers(0, 8),
    st.integers(0, 8),
    st.floats(0, 0.5),
)
def test_the_level_never_flutters_and_follows_what_lasts(
    values: list[tuple[float, int]], rise_ns: int, fall_ns: int, slack: float
) -> None:
    limits = (1.4, 2.8, 4.5)
    steady = SteadyLevel(limits, slack=slack, rise_ns=rise_ns, fall_ns=fall_ns)
    t_ns = changed_ns = 0
    before: int | None = None
    for value, passed in values:
        t_ns += passed
        if steady.see(value, t_ns):
            level = steady.level
            assert level is not None
            assert level != before
            if before is not None:
                assert t_ns - changed_ns >= (rise_ns if level > before else fall_ns)
            low = limits[level - 1] * (1 - slack) if level else 0
            assert value >= low if before is None or level > before else True
            changed_ns, before = t_ns, level
    for _ in range(3):
        t_ns += 10
        steady.see(9.0, t_ns)
    assert steady.level == 3
    for _ in range(3):
        t_ns += 10
        steady.see(0.0, t_ns)
    assert steady.level == 0


# Alarms


def test_an_alarm_stays_until_it_is_over_and_acknowledged() -> None:
    driven = Driven()
    raised = only(driven.see(1, 3), "alarm")
    assert (raised.phase, raised.facts["zone"], raised.facts["acknowledged"]) == ("new", "C", False)
    assert of(driven.see(3, 3, 2), "alarm") == ["update"]
    assert driven.events[-1].facts["over"] is True
    assert driven.see(1.9, 2) == []
    assert "is acknowledged" in driven.stage.acknowledge()
    ended = only(driven.see(2), "alarm")
    assert (ended.phase, ended.event, ended.facts["over"]) == ("end", raised.event, True)
    assert ended.facts["worst_mm_s"] == pytest.approx(3, rel=1e-3)


def test_an_alarm_that_was_acknowledged_ends_by_itself_unless_it_gets_worse() -> None:
    driven = Driven()
    driven.see(3)
    driven.stage.acknowledge()
    assert driven.see(3)[0].facts["acknowledged"] is True
    worse = only(driven.see(5), "alarm")
    assert (worse.phase, worse.facts["zone"], worse.facts["acknowledged"]) == ("update", "D", False)
    driven.stage.acknowledge()
    assert of(driven.see(5, 1), "alarm") == ["update", "end"]


def test_an_alarm_that_does_not_latch_ends_when_it_is_over() -> None:
    assert of(Driven(latch=False).see(3, 1, 3, 1), "alarm") == ["new", "end", "new", "end"]


def test_the_alarm_may_wait_for_zone_d() -> None:
    driven = Driven(alarm_zone="D")
    assert of(driven.see(3, 4), "alarm") == []
    assert of(driven.see(5), "alarm") == ["new"]


def test_acknowledging_says_what_it_did() -> None:
    driven = Driven(machine="pump 7")
    assert driven.stage.acknowledge() == "pump 7: there is no alarm to acknowledge"
    driven.see(3)
    assert driven.stage.acknowledge() == "pump 7: alarm 1 (zone C) is acknowledged"
    assert driven.stage.acknowledge() == "pump 7: alarm 1 is acknowledged already"


def test_a_latched_alarm_survives_a_restart_under_its_number(tmp_path: Path) -> None:
    before = Driven(tmp_path)
    before.see(3, 1)
    (ended,) = [event for event in before.stop() if event.kind == "alarm"]
    assert (ended.phase, ended.facts["over"]) == ("end", False)

    after = Driven(tmp_path)
    after.context.random.seed(1)
    again = after.see(1)
    alarm = next(event for event in again if event.kind == "alarm")
    assert (alarm.phase, alarm.facts["alarm"], alarm.facts["zone"]) == ("new", 1, "C")
    assert alarm.event != ended.event
    after.stage.acknowledge()
    assert of(after.see(1), "alarm") == ["end"]
    after.stop()

    third = Driven(tmp_path)
    assert of(third.see(1), "alarm") == []
    assert only(third.see(3), "alarm").facts["alarm"] == 2


def test_damaged_state_is_told_and_numbers_go_on(tmp_path: Path) -> None:
    Driven(tmp_path).see(3)
    for damage in (b"{", b'{"version": 1}', b'{"version": 9, "newest": 1, "alarm": null}', b"[]"):
        (tmp_path / "alarm.json").write_bytes(damage)
        driven = Driven(tmp_path)
        assert driven.log.said("warning") == ["alarms cannot be recalled"]
        assert driven.see(1) != []


def test_a_disk_that_cannot_be_written_stops_no_alarm(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    driven = Driven(tmp_path / "state" / "health")
    assert only(driven.see(3), "alarm").facts["window"] == ""
    assert driven.log.said("warning").count("alarm cannot be stored") == 1


def test_the_window_that_raised_the_alarm_is_kept_and_old_ones_go(tmp_path: Path) -> None:
    driven = Driven(tmp_path, keep_windows=2, latch=False)
    raised = [driven.see(mm_s, 1)[0 if mm_s == 3 else 1] for mm_s in (3, 3.5, 4)]
    assert len(raised) == 3
    names = sorted(file.name for file in (tmp_path / "alarms").iterdir())
    assert names == ["000002.json", "000002.npy", "000003.json", "000003.npy"]
    samples = np.load(tmp_path / "alarms/000003.npy", allow_pickle=False)
    assert np.array_equal(samples, shaking(4).samples)
    about = json.loads((tmp_path / "alarms/000003.json").read_text())
    assert (about["zone"], about["rate_hz"], about["channels"]) == (
        "C",
        RATE_HZ,
        ["x", "y", "tacho"],
    )
    assert only(driven.see(3), "alarm").facts["window"] == "alarms/000004.npy"


steps = st.lists(
    st.one_of(
        st.floats(0, 8),
        st.sampled_from(["acknowledge", "reopen", "restart"]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=steps, latch=st.booleans(), for_s=st.integers(0, 2), clear_s=st.integers(0, 2))
def test_whatever_happens_events_open_once_end_once_and_a_latch_holds(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[float | str],
    latch: bool,
    for_s: int,
    clear_s: int,
) -> None:
    folder = tmp_path_factory.mktemp("state")
    options = {"latch": latch, "for_s": for_s, "clear_s": clear_s}
    driven = Driven(folder, **options)
    acknowledged: set[float | str | bool] = set()
    everything: list[Event] = []
    for step in steps:
        if step == "acknowledge":
            if (alarm := driven.stage._alarm) is not None:
                acknowledged.add(alarm.number)
            driven.stage.acknowledge()
        elif step == "reopen":
            driven.epoch += 1
        elif step == "restart":
            driven.stop()
            everything += driven.events
            now_s, driven = driven.now_s, Driven(folder, **options)
            driven.now_s = now_s
            driven.context.random.seed(len(everything))
        else:
            driven.see(float(step))
    driven.stop()
    everything += driven.events

    ended = follow(everything)
    if latch:
        assert {
            e.facts["alarm"] for e in ended if e.kind == "alarm" and e.facts["over"]
        } <= acknowledged


def follow(events: Iterable[Event]) -> list[Event]:
    """The ends of events, each of which began once, alone of its kind; all have ended."""
    open_now: dict[str, Event] = {}
    ended = []
    for event in events:
        if event.phase == "new":
            assert event.kind not in {other.kind for other in open_now.values()}
            open_now[event.event] = event
        else:
            assert open_now[event.event].kind == event.kind
            if event.phase == "end":
                del open_now[event.event]
                ended.append(event)
    assert open_now == {}
    return ended


def test_a_reopened_source_ends_what_was_open_at_its_last_moment() -> None:
    driven = Driven()
    stream = [
        p._replace(t_ns=NS * (n + 1)) for n, p in enumerate(packets([shaking(3)] * 2, rate_hz=1))
    ]
    driven.stage.process(stream[0])
    results = driven.stage.process(stream[1]._replace(epoch=1))
    ended = [result for result in results if isinstance(result, At)]
    assert [(at.value.phase, at.t_ns) for at in ended] == [("end", NS)] * 2


# Speed


def test_a_machine_that_stands_is_not_judged_and_one_that_starts_warms_up_first() -> None:
    driven = Driven(tacho_channel="tacho", warm_up_s=3, latch=False)
    assert driven.see(9, 9) == []
    assert driven.see(9, 9, rpm=1500) == []
    begun = driven.see(9, 9, rpm=1500)
    assert [(e.phase, e.kind) for e in begun] == [("new", "zone"), ("new", "alarm")]
    assert begun[0].facts["speed_rpm"] == pytest.approx(1500, rel=1e-3)
    assert driven.see(9, rpm=560) == []
    stopped = driven.see(9, rpm=500)
    assert [(e.phase, e.kind) for e in stopped] == [("end", "zone"), ("end", "alarm")]
    assert driven.see(9, 9, rpm=1500) == []


def test_without_a_tacho_the_warm_up_begins_with_the_stream() -> None:
    driven = Driven(warm_up_s=3)
    assert driven.see(9, 9) == []
    assert of(driven.see(9), "alarm") == ["new"]


@pytest.mark.parametrize("rpm", [400.0, 1797.0, 6000.0])
@pytest.mark.parametrize("per_turn", [1, 4])
def test_speed_is_right_to_a_thousandth(rpm: float, per_turn: int) -> None:
    t = np.arange(25_600) / 25_600
    rng = np.random.default_rng(1)
    pulses = (t * rpm / 60 * per_turn + 0.37) % 1 < 0.2
    noisy = (pulses * 3.3 + rng.normal(0, 0.1, len(t))).astype(np.float32)
    assert speed_rpm(noisy, 25_600, per_turn) == pytest.approx(rpm, rel=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_a_level_are_no_pulses(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, 25_600).astype(np.float32)
    assert speed_rpm(noise, 25_600, 1) == 0
    assert speed_rpm(np.full(25_600, 3.3, np.float32), 25_600, 1) == 0


def test_slow_machines_are_judged_from_2_hz_on() -> None:
    """5 Hz counts for a machine of 300 turns per minute, and not for a fast one."""
    fast, slow = Driven(speed_rpm=1500), Driven(speed_rpm=300)
    assert only(fast.see(5, hz=5, seconds=2), "zone").facts["zone"] == "A"
    assert only(slow.see(5, hz=5, seconds=2), "zone").facts["zone"] == "D"


# What it cannot use


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (Signal(np.ones((1, 2560), np.float32), RATE_HZ, ("x",), ("V",)), "no_acceleration"),
        (Signal(np.ones((1, 900), np.float32), RATE_HZ, ("x",), ("m/s²",)), "too_short"),
        (Signal(np.ones((1, 2000), np.float32), 2000, ("x",), ("m/s²",)), "above_nyquist"),
        (
            Signal(np.full((1, 2560), np.nan, np.float32), RATE_HZ, ("x",), ("m/s²",)),
            "not_finite",
        ),
    ],
)
def test_windows_that_cannot_be_judged_are_dropped_with_the_reason(
    signal: Signal, reason: str
) -> None:
    ran = run_stage(MachineHealth, PROMPT, packets([signal], rate_hz=1))
    assert dict(ran.dropped) == {reason: 1}
    assert ran.meters.faults == 0


def test_a_tacho_that_is_not_there_is_a_reason_too() -> None:
    ran = run_stage(
        MachineHealth, {**PROMPT, "tacho_channel": "t"}, packets([shaking(1)], rate_hz=1)
    )
    assert dict(ran.dropped) == {"no_tacho": 1}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs group (1: above 300 kW, 2: 15 to 300 kW) and mounting"),
        ({"group": 2}, "needs group"),
        ({**GROUP_2, "machine_class": "I"}, "has no classes"),
        ({"standard": "iso10816-1"}, "needs machine_class: I, II, III or IV"),
        ({"standard": "iso10816-1", "machine_class": "I", "group": 1}, "has no groups"),
        ({**GROUP_2, "min_speed_rpm": 700}, "min_speed_rpm needs a speed that is measured"),
        ({**GROUP_2, "pulses_per_rev": 2}, "pulses_per_rev needs a tacho"),
        ({**GROUP_2, "speed_rpm": 700, "tacho_channel": "t"}, "only one of speed_rpm, tacho"),
    ],
)
def test_a_machine_that_is_not_described_is_asked_for(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MachineHealthOptions.model_validate(options)
    assert says in str(caught.value)
