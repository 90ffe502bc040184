from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.message import Message
from edgeapp.uplink.held import HeldStates
from edgeapp.uplink.outbox import Entry, Key


def entry(number: int, size: int = 10) -> Entry:
    return Entry(Key(1, number), Message("t", b"x" * size, 0))


def due(held: HeldStates) -> list[str]:
    topics = []
    while (found := held.take_due()) is not None:
        topics.append(found[0])
    return topics


def test_the_newest_state_of_each_topic_is_due_at_once_and_at_each_connection() -> None:
    held = HeldStates()
    held.put("a", b"1")
    held.put("b", b"2")
    held.put("a", b"3")
    assert sorted(due(held)) == ["a", "b"]
    assert due(held) == []
    held.all_due()
    assert sorted(due(held)) == ["a", "b"]


def test_what_the_broker_has_is_remembered_but_not_sent_until_the_next_connection() -> None:
    held = HeldStates()
    held.remember("a", entry(5))
    held.remember("a", entry(4))
    assert held.has_newer("a", Key(1, 4))
    assert not held.has_newer("a", Key(1, 5))
    assert due(held) == []
    held.all_due()
    assert held.take_due() == ("a", entry(5))


def test_a_topic_that_was_let_go_is_forgotten_once_the_broker_knows() -> None:
    held = HeldStates()
    held.put("a", b"1")
    held.let_go("a")
    assert held.take_due() == ("a", b"")
    held.all_due()
    assert held.take_due() == ("a", b"")
    held.done("a", b"")
    held.all_due()
    assert held.take_due() is None
    assert len(held) == 0


def test_what_was_under_way_as_its_topic_was_let_go_is_not_kept() -> None:
    held = HeldStates()
    held.let_go("a")
    assert held.remember("a", entry(5))
    assert held.take_due() == ("a", b"")
    held.done("a", b"")
    assert len(held) == 0


def test_a_state_that_came_while_its_topic_was_let_go_stays() -> None:
    held = HeldStates()
    held.let_go("a")
    held.take_due()
    held.put("a", b"2")
    held.done("a", b"")
    assert held.take_due() == ("a", b"2")


def test_an_old_state_does_not_outlive_a_new_one_that_has_no_room() -> None:
    held = HeldStates(most_bytes=1_000)
    assert held.put("a", b"small")
    assert not held.put("a", b"x" * 2_000)
    held.all_due()
    assert due(held) == []


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 400)), max_size=50))
def test_topics_and_bytes_are_bounded(puts: list[tuple[str, int]]) -> None:
    held = HeldStates(most_topics=5, most_bytes=1_500)
    for topic, size in puts:
        held.put(topic, b"x" * size)
        assert len(held) <= 5
        assert 0 <= held._bytes <= 1_500
    for topic, _ in puts:
        held.forget(topic)
    assert held._bytes == 0
    assert due(held) == []
