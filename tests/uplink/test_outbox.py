import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message, Priority
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.outbox import FRESH_S, PRIORITIES, Key, OutboxStatistics


def message(n: int, priority: Priority = "normal", size: int = 10) -> Message:
    return Message(f"t/{n}", b"x" * size, 0, priority)


def topics(outbox: MemoryOutbox, limit: int = 100) -> list[str]:
    return [entry.message.topic for entry in outbox.take(limit)]


def test_messages_come_in_order_and_critical_ones_first() -> None:
    outbox = MemoryOutbox()
    order: tuple[Priority, ...] = ("bulk", "normal", "critical", "normal", "bulk", "critical")
    for n, priority in enumerate(order):
        outbox.put(message(n, priority))
    assert topics(outbox, 4) == ["t/2", "t/5", "t/1", "t/3"]
    assert topics(outbox) == ["t/0", "t/4"]


def test_a_full_outbox_drops_the_oldest_of_the_lowest_priority() -> None:
    outbox = MemoryOutbox(max_messages=3)
    outbox.put(message(0, "normal"))
    outbox.put(message(1, "bulk"))
    outbox.put(message(2, "bulk"))
    assert outbox.put(message(3, "critical"))
    assert outbox.put(message(4, "critical"))
    assert outbox.put(message(5, "critical"))
    assert topics(outbox) == ["t/3", "t/4", "t/5"]
    assert outbox.statistics().dropped == {"full": 3}


def test_what_comes_is_dropped_where_all_else_matters_more() -> None:
    outbox = MemoryOutbox(max_messages=2)
    outbox.put(message(0, "critical"))
    outbox.put(message(1, "normal"))
    assert not outbox.put(message(2, "bulk"))
    assert topics(outbox) == ["t/0", "t/1"]


def test_bytes_are_bounded_too() -> None:
    outbox = MemoryOutbox(max_bytes=10_000, max_message_bytes=4_000)
    for n in range(5):
        outbox.put(message(n, size=3_000))
    assert outbox.statistics().waiting_bytes <= 10_000
    assert topics(outbox) == ["t/2", "t/3", "t/4"]


def test_a_message_that_is_too_large_is_dropped_at_once() -> None:
    outbox = MemoryOutbox(max_message_bytes=100)
    assert not outbox.put(message(0, size=101))
    assert outbox.put(message(1, size=100))
    assert outbox.statistics().dropped == {"too_large": 1}


def test_an_outbox_without_room_for_one_message_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        MemoryOutbox(max_bytes=100, max_message_bytes=100)


def test_what_did_not_settle_waits_again_before_all_others_with_its_number() -> None:
    outbox = MemoryOutbox()
    for n in range(4):
        outbox.put(message(n))
    taken = outbox.take(3)
    outbox.settle(taken[1].key)
    outbox.give_back()
    again = outbox.take(10)
    assert [e.key for e in again[:2]] == [taken[0].key, taken[2].key]
    assert [e.message.topic for e in again] == ["t/0", "t/2", "t/3"]


def test_a_closed_outbox_counts_what_it_lets_go() -> None:
    outbox = MemoryOutbox()
    for n in range(3):
        outbox.put(message(n))
    outbox.take(1)
    assert outbox.close() == 3
    assert not outbox.put(message(4))
    assert outbox.take(5) == []
    assert outbox.statistics() == OutboxStatistics(4, 0, {"stopped": 4}, 0, 0, 0)


def test_settling_twice_or_something_unknown_changes_nothing() -> None:
    outbox = MemoryOutbox()
    outbox.put(message(0))
    (entry,) = outbox.take(1)
    for key in (entry.key, entry.key, Key(1, 99), Key(1, 0)):
        outbox.settle(key)
        outbox.refuse(key, "")
    statistics = outbox.statistics()
    assert (statistics.settled, statistics.dropped) == (1, {})


def test_what_was_not_taken_stays_before_what_was_under_way_with_it() -> None:
    outbox = MemoryOutbox()
    for n in range(3):
        outbox.put(message(n))
    first, second, third = outbox.take(3)
    outbox.retry(first.key)
    outbox.give_back()
    assert outbox.take(3) == [first, second, third]


Step = Literal["put", "take", "settle", "refuse", "give_back", "close"]
steps = st.tuples(
    st.sampled_from(("put", "put", "put", "take", "settle", "refuse", "give_back")),
    st.sampled_from(PRIORITIES),
    st.integers(0, 400),
)


@given(st.lists(steps, max_size=60), st.booleans())
def test_every_message_is_in_one_place(
    script: list[tuple[Step, Priority, int]], close: bool
) -> None:
    """Offered = settled + dropped + waiting + in flight, whatever happens, within the bounds."""
    outbox = MemoryOutbox(max_messages=5, max_bytes=2_000, max_message_bytes=300)
    in_flight: list[Key] = []
    last_put: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
    for offered, (step, priority, amount) in enumerate(script):
        if step == "put":
            outbox.put(Message(str(offered), b"x" * amount, 0, priority))
            if amount <= 300:  # it is taken in
                assert outbox.statistics().waiting <= 5
                assert outbox.statistics().waiting_bytes <= 2_000
        elif step == "take":
            taken = outbox.take(amount % 4)
            in_flight += [entry.key for entry in taken]
            for entry in taken:
                assert entry.key.number > last_put[entry.message.priority]
                last_put[entry.message.priority] = entry.key.number
        elif step == "give_back":
            outbox.give_back()
            in_flight.clear()
            last_put = dict.fromkeys(PRIORITIES, 0)
        elif in_flight:
            key = in_flight.pop(amount % len(in_flight))
            if step == "settle":
                outbox.settle(key)
            else:
                outbox.refuse(key, "")
        check_sum(outbox.statistics())
        assert outbox.statistics().in_flight == len(in_flight)
    if close:
        outbox.close()
        check_sum(outbox.statistics())
        assert outbox.statistics().waiting == 0


def check_sum(s: OutboxStatistics) -> None:
    assert s.offered == s.settled + sum(s.dropped.values()) + s.waiting + s.in_flight
    assert (s.waiting_bytes == 0) == (s.waiting == 0)


def test_what_is_dropped_is_told_by_one_message_before_all_others() -> None:
    outbox = MemoryOutbox(max_messages=3, device="dev")
    for n in range(5):
        outbox.put(message(n, "bulk"))
    gap, *rest = outbox.take(10)
    assert json.loads(gap.message.body) == {
        "schema": "edgeapp/gap/1",
        "reason": "full",
        "priority": "bulk",
        "count": 2,
        "first": "dev/1/1",
        "last": "dev/1/2",
    }
    assert (gap.message.topic, gap.message.priority) == ("gap", "critical")
    assert [entry.message.topic for entry in rest] == ["t/2", "t/3", "t/4"]
    # While it is under way another one grows, which is told when this one has settled.
    for n in range(5, 10):
        outbox.put(message(n, "bulk"))
    assert all(entry.message.topic != "gap" for entry in outbox.take(10))
    outbox.settle(gap.key)
    (again,) = outbox.take(10)
    assert json.loads(again.message.body)["count"] == 2


def test_what_outlives_its_time_is_dropped() -> None:
    clock = FakeClock()
    outbox = MemoryOutbox(clock=clock)
    outbox.put(Message("short", b"{}", 0, ttl_s=5.0))
    outbox.put(Message("long", b"{}", 0, ttl_s=50.0))
    clock.advance(5.0)
    assert topics(outbox) == ["long"]
    assert outbox.statistics().dropped == {"expired": 1}


def test_a_connection_divides_what_waits_into_fresh_and_backlog() -> None:
    """The newest state of each topic is live however old it is."""
    clock = FakeClock()
    outbox = MemoryOutbox(clock=clock)
    for topic in ("state", "state", "event"):
        outbox.put(Message(topic, b"{}", clock.now_ns(), retain=topic == "state"))
    clock.advance(FRESH_S + 0.1)
    outbox.put(Message("fresh", b"{}", clock.now_ns()))
    outbox.divide()
    assert outbox.statistics().backlog == 2
    live, backlog = outbox.take(10), outbox.take_backlog(10)
    assert [(e.key.number, e.replay) for e in live] == [(2, False), (4, False)]
    assert [(e.key.number, e.replay) for e in backlog] == [(1, True), (3, True)]
