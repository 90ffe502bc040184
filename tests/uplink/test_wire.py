import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.message import Message
from edgeapp.uplink.wire import Sealer, Topics, wall_clock_is_synchronised

NOON_NS = 1_800_000_000 * NS  # 2027-01-15T08:00:00Z


def sealed(message: Message, clock: FakeClock, **more: Any) -> dict[str, Any]:
    sealer = Sealer("dev-1", 7, clock, wall_ns=lambda: NOON_NS, **more)
    found: dict[str, Any] = json.loads(sealer.seal(message, 12))
    return found


def test_sealing_puts_id_time_clock_and_age_before_the_body() -> None:
    """The time is that of the capture: the wall clock less the message's age."""
    clock = FakeClock(start_ns=10 * NS)
    message = Message("a/b", b'{"schema":"x","n":[1]}', taken_ns=10 * NS - 1_250_000_000)
    assert sealed(message, clock, synchronised=lambda: True) == {
        "id": "dev-1/7/12",
        "time": "2027-01-15T07:59:58.750Z",
        "clock": "synced",
        "age_ms": 1250.0,
        "schema": "x",
        "n": [1],
    }


def test_a_binary_body_is_left_as_it_is() -> None:
    message = Message("a/b", b"\xff\xd8picture", 0, binary=True)
    assert Sealer("dev", 1, FakeClock()).seal(message, 1) == b"\xff\xd8picture"


def test_a_message_from_the_future_has_no_age() -> None:
    assert sealed(Message("a/b", b'{"n":1}', taken_ns=NS), FakeClock())["age_ms"] == 0.0


def test_the_state_of_the_clock_is_asked_once_a_second() -> None:
    answers = iter([False, True])
    clock = FakeClock()
    sealer = Sealer("dev", 1, clock, wall_ns=lambda: NOON_NS, synchronised=lambda: next(answers))

    def state() -> str:
        found: str = json.loads(sealer.seal(Message("a", b'{"n":1}', 0), 1))["clock"]
        return found

    assert [state(), state()] == ["unsynced", "unsynced"]
    clock.advance(1.0)
    assert [state(), state()] == ["synced", "synced"]


@given(st.lists(st.integers(0, 4_000_000_000 * NS), min_size=1, max_size=8))
def test_any_wall_time_is_written_right(walls: list[int]) -> None:
    """Whatever the order of times, and wherever they were stepped to."""
    times = iter(walls)
    sealer = Sealer("dev", 1, FakeClock(), wall_ns=lambda: next(times), synchronised=lambda: False)
    for wall_ns in walls:
        import datetime as dt

        text = json.loads(sealer.seal(Message("a", b'{"n":1}', 0), 1))["time"]
        moment = dt.datetime.fromisoformat(text)
        assert moment.tzinfo is not None
        passed = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        assert passed == dt.timedelta(milliseconds=wall_ns // 1_000_000)


def test_the_kernel_is_asked_about_the_clock() -> None:
    """Either answer may be true here; what counts is that there is one, every time."""
    assert {type(wall_clock_is_synchronised()) for _ in range(3)} == {bool}


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
