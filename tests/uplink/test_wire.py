import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.message import Message
from edgeapp.uplink.connection import Extra
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import Offset, WallClock
from edgeapp.uplink.wire import Sealer, Topics

NOON_NS = 1_800_000_000 * NS  # 2027-01-15T08:00:00Z
KEY = Key(7, 12)
UP_NS = 10 * NS


def wall_clock(
    clock: FakeClock, *, synced: bool = True, wall_ns: int = NOON_NS, boot: str = "now"
) -> WallClock:
    return WallClock(clock, boot=boot, wall_ns=lambda: wall_ns, synchronised=lambda: synced)


def sealed(message: Message, wall: WallClock, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Sealer("dev-1", 7, wall).seal(message, KEY, **more))
    return found


def test_sealing_puts_id_time_clock_and_age_before_the_body() -> None:
    """The time is that of the capture: the wall clock less the message's age."""
    message = Message("a/b", b'{"n":[1]}', taken_ns=UP_NS - 1_250_000_000)
    found = sealed(message, wall_clock(FakeClock(UP_NS)))
    assert list(found.items()) == [
        ("id", "dev-1/7/12"),
        ("time", "2027-01-15T07:59:58.750Z"),
        ("clock", "synced"),
        ("age_ms", 1250.0),
        ("replay", False),
        ("n", [1]),
    ]


def test_without_a_synchronised_clock_the_boot_and_its_time_are_told() -> None:
    message = Message("a/b", b'{"n":1}', taken_ns=UP_NS - 1_250_000_000)
    assert sealed(message, wall_clock(FakeClock(UP_NS), synced=False)) == {
        "id": "dev-1/7/12",
        "time": "2027-01-15T07:59:58.750Z",
        "clock": "unsynced",
        "age_ms": 1250.0,
        "replay": False,
        "boot": "now",
        "up_ms": 8750.0,
        "n": 1,
    }


def test_a_message_of_an_earlier_boot_is_corrected_when_it_is_sent() -> None:
    """By the offset of that boot, which the store has kept."""
    wall = wall_clock(FakeClock(UP_NS))
    wall.learn({"before": Offset(NOON_NS - 3600 * NS, synced=True)})
    message = Message("a/b", b'{"n":1}', taken_ns=5 * NS)
    assert sealed(message, wall, boot="before", replay=True) == {
        "id": "dev-1/7/12",
        "time": "2027-01-15T07:00:05.000Z",
        "clock": "synced",
        "age_ms": 3_595_000.0,
        "replay": True,
        "n": 1,
    }


def test_of_an_earlier_boot_without_a_clock_the_age_is_null() -> None:
    wall = wall_clock(FakeClock(UP_NS))
    wall.learn({"before": Offset(40 * NS, synced=False)})
    found = sealed(Message("a/b", b'{"n":1}', taken_ns=5 * NS), wall, boot="before", replay=True)
    assert found["time"] == "1970-01-01T00:00:45.000Z"
    assert found["age_ms"] is None
    assert (found["clock"], found["boot"], found["up_ms"]) == ("unsynced", "before", 5000.0)


def test_a_binary_body_is_left_as_it_is() -> None:
    """What JSON has in the envelope goes beside it, where MQTT 5 is spoken."""
    sealer = Sealer("dev-1", 7, wall_clock(FakeClock(UP_NS)))
    message = Message("a/b", b"\xff\xd8", 9 * NS, binary=True, content_type="image/jpeg")
    assert sealer.seal(message, KEY) == b"\xff\xd8"
    assert sealer.extra(message, KEY) == Extra(
        content_type="image/jpeg",
        user=(
            ("id", "dev-1/7/12"),
            ("time", "2027-01-15T07:59:59.000Z"),
            ("clock", "synced"),
            ("replay", "false"),
            ("age_ms", "1000.0"),
        ),
    )


def test_the_words_beside_a_binary_body_say_what_the_envelope_says() -> None:
    """With any state of the clock, of this boot and of others."""
    clock = FakeClock(UP_NS)
    for synced in (True, False):
        wall = wall_clock(clock, synced=synced)
        wall.learn({"known": Offset(NOON_NS, synced=True), "guessed": Offset(0, synced=False)})
        sealer = Sealer("dev-1", 7, wall)
        for boot in (None, "known", "guessed", "unknown"):
            binary = Message("a/b", b"\xff", 9 * NS, binary=True)
            extra = sealer.extra(binary, KEY, boot=boot, replay=True)
            assert extra is not None
            said = sealed(Message("a/b", b'{"n":1}', 9 * NS), wall, boot=boot, replay=True)
            del said["n"]
            told = {name: v if type(v) is str else json.dumps(v) for name, v in said.items()}
            assert dict(extra.user) == {name: v for name, v in told.items() if v != "null"}


def test_a_message_without_a_time_to_live_has_nothing_beside_it() -> None:
    sealer = Sealer("dev-1", 7, wall_clock(FakeClock()))
    assert sealer.extra(Message("a/b", b'{"n":1}', 0), KEY) is None


@pytest.mark.parametrize(
    ("age_s", "boot", "expiry_s"),
    [
        (0.0, None, 60),
        (19.5, None, 41),
        (60.0, None, 1),
        (1000.0, None, 1),
        (0.0, "known", 50),  # that boot was 10 s ago
        (0.0, "unknown", 50),  # at least: this boot has lasted for 10 s
    ],
)
def test_the_broker_is_told_what_is_left_of_the_time_to_live(
    age_s: float, boot: str | None, expiry_s: int
) -> None:
    """Rounded up, and at least a second: 0 would be another thing."""
    clock = FakeClock(UP_NS if boot else 2000 * NS)
    wall = wall_clock(clock)
    wall.learn({"known": Offset(NOON_NS - UP_NS - 10 * NS, synced=True)})
    taken_ns = clock.now_ns() - round(age_s * NS)
    message = Message("a/b", b'{"n":1}', taken_ns, ttl_s=60.0)
    assert Sealer("dev-1", 7, wall).extra(message, KEY, boot=boot) == Extra(expiry_s)


def test_a_message_from_the_future_has_no_age() -> None:
    message = Message("a/b", b'{"n":1}', taken_ns=NS)
    assert sealed(message, wall_clock(FakeClock()))["age_ms"] == 0.0


@given(st.lists(st.integers(0, 4_000_000_000 * NS), min_size=1, max_size=8))
def test_any_wall_time_is_written_right(walls: list[int]) -> None:
    """Whatever the order of times, and wherever they were stepped to."""
    clock = FakeClock()
    times = iter(walls)
    wall = WallClock(clock, wall_ns=lambda: next(times), synchronised=lambda: True)
    sealer = Sealer("dev", 1, wall)
    shown_ns = -NS
    for wall_ns in walls:
        if abs(wall_ns - clock.now_ns() - shown_ns) >= 1_000_000:  # less is noise
            shown_ns = wall_ns - clock.now_ns()
        text = json.loads(sealer.seal(Message("a", b'{"n":1}', clock.now_ns()), KEY))["time"]
        passed = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        assert passed == dt.timedelta(milliseconds=(clock.now_ns() + shown_ns) // 1_000_000)
        clock.advance(1.0)


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (-5 * NS, "1970-01-01T00:00:00.000Z"),
        (10**30, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_a_time_that_cannot_be_is_moved_to_the_nearest_that_can(wall_ns: int, text: str) -> None:
    wall = wall_clock(FakeClock(), wall_ns=wall_ns)
    assert sealed(Message("a", b'{"n":1}', 0), wall)["time"] == text


def test_a_prefix_stands_above_the_device() -> None:
    """The device file's `mqtt: {prefix: ...}`, where a broker serves more than this."""
    topics = Topics("dev", "plant/hall-2")
    assert topics.status == "plant/hall-2/dev/status"
    assert topics.all == "plant/hall-2/dev/#"


def test_topics_are_below_the_device() -> None:
    topics = Topics("dev-1.a_b")
    assert topics.status == "edgeapp/dev-1.a_b/status"
    assert topics.below + "porch/people" == "edgeapp/dev-1.a_b/porch/people"


@pytest.mark.parametrize("device", ["", "a/b", "a+", "#", "a b", "ä", "x" * 65, "a\n"])
def test_a_device_that_cannot_be_a_level_of_a_topic_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        Topics(device)
