import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.link import AnyPacket, Inbox, Link, LinkSettings
from edgeapp.core.packet import Packet


def packet(seq: int, lost: int = 0) -> AnyPacket:
    return Packet(f"value {seq}", "camera", 0, seq, 0, seq, seq, 0, lost, ())


def link_of(depth: int, when_full: Any) -> tuple[Inbox, Link]:
    inbox = Inbox()
    return inbox, inbox.link(LinkSettings(depth, when_full))


def taken(inbox: Inbox, limit: int = 64) -> list[AnyPacket]:
    got = inbox.take(limit)
    return [] if got is None else got[1]


def test_link_full_drops_oldest_and_counts_it() -> None:
    """The freshest frame wins; the packet behind the dropped ones says how many were lost."""
    inbox, link = link_of(1, "drop_oldest")
    for seq in range(4):
        link.put(packet(seq))
    (kept,) = taken(inbox)
    assert (kept.seq, kept.lost) == (3, 3)
    assert link.statistics().dropped == 3


def test_link_full_drops_newest_and_the_next_one_says_so() -> None:
    """What waits is kept; the loss is told by the packet that comes after it."""
    inbox, link = link_of(2, "drop_newest")
    for seq in range(4):
        link.put(packet(seq))
    assert [(p.seq, p.lost) for p in taken(inbox)] == [(0, 0), (1, 0)]
    link.put(packet(4))
    assert [(p.seq, p.lost) for p in taken(inbox)] == [(4, 2)]


def test_link_that_waits_loses_nothing() -> None:
    """A full link holds its producer until the reader has taken."""
    inbox, link = link_of(1, "wait")

    def produce() -> None:
        for seq in range(50):
            link.put(packet(seq))

    producer = threading.Thread(target=produce)
    producer.start()
    got: list[int] = []
    while len(got) < 50:
        got += [p.seq for p in taken(inbox)]
    producer.join()
    assert got == list(range(50))
    assert link.statistics().dropped == 0
    assert link.statistics().peak_waiting == 1


def test_who_is_out_of_patience_takes_none() -> None:
    """A lane sees to what it does beside the packets, then waits on."""
    inbox, link = link_of(3, "drop_newest")
    assert inbox.take(64, 0.001) == (link, [])
    link.put(packet(0))
    assert inbox.take(64, 0.001) == (link, [packet(0)])
    link.close()
    assert inbox.take(64, 0.001) is None


def test_closed_link_gives_what_waits_then_ends() -> None:
    inbox, link = link_of(3, "drop_newest")
    link.put(packet(0))
    link.close()
    assert [p.seq for p in taken(inbox)] == [0]
    assert inbox.take(64) is None


def test_abandon_frees_a_waiting_producer_and_counts_every_packet() -> None:
    """At a shutdown that ran out of time, a producer must not hang on a full link."""
    inbox, link = link_of(1, "wait")
    link.put(packet(0))
    producer = threading.Thread(target=lambda: link.put(packet(1)))
    producer.start()
    link.abandon()
    producer.join(timeout=10)
    assert not producer.is_alive()
    assert inbox.take(64) is None
    statistics = link.statistics()
    assert (statistics.put, statistics.dropped, statistics.received) == (2, 2, 0)


def test_inbox_takes_from_its_links_in_turn() -> None:
    """A busy action does not keep another one's packets waiting for ever."""
    inbox = Inbox()
    first = inbox.link(LinkSettings(8, "drop_newest"))
    second = inbox.link(LinkSettings(8, "drop_newest"))
    for seq in range(2):
        first.put(packet(seq))
        second.put(packet(seq))
    order = []
    for _ in range(4):
        got = inbox.take(1)
        assert got is not None
        order.append(got[0])
    assert order == [first, second, first, second]


steps = st.lists(
    st.one_of(st.tuples(st.just("put"), st.integers(0, 3)), st.tuples(st.just("take"), st.just(1))),
    max_size=60,
)


@given(
    depth=st.integers(1, 4), when_full=st.sampled_from(["drop_oldest", "drop_newest"]), steps=steps
)
def test_link_law_nothing_vanishes(
    depth: int, when_full: str, steps: list[tuple[str, int]]
) -> None:
    """Put = received + dropped + waiting, in order; every loss is told by a later packet."""
    inbox, link = link_of(depth, when_full)
    seq = said_lost = put_lost = 0
    got: list[AnyPacket] = []
    for step, number in steps:
        if step == "put":
            link.put(packet(seq, number))
            put_lost += number
            seq += 1
        elif link.waiting:
            got += taken(inbox, number)
        statistics = link.statistics()
        assert statistics.put == statistics.received + statistics.dropped + statistics.waiting
        assert statistics.waiting <= depth
    link.put(packet(seq))
    while link.waiting:
        got += taken(inbox)
    link.put(packet(seq + 1))
    got += taken(inbox)
    said_lost = sum(p.lost for p in got)
    assert [p.seq for p in got] == sorted({p.seq for p in got})
    assert said_lost == put_lost + link.statistics().dropped
