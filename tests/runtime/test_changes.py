"""`on_change` and `ttl_s` of outputs: what is sent, what is held back, and until when it is good."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgeapp.api import Context, Event, Message, Options, Packet, Phase, Score, output
from edgeapp.core.clock import NS
from edgeapp.rules.term import Term
from edgeapp.runtime import changes
from edgeapp.runtime.changes import Changes
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.stepped import run_stepped
from edgeapp.testing import Script, Scripted, packets, run_stage
from edgeapp.testing.stage import LogBook
from tests.runtime.parts import Say
from tests.runtime.rig import Rig, chain


def sent(values: Sequence[float], on_change: str = "value", **keys: Any) -> list[float]:
    scores = [Score(value) for value in values]
    ran = run_stage(Say, {}, packets(scores), on_change=[on_change], **keys)
    return [float(message.body) for message in ran.messages]


def test_only_what_differs_from_the_last_message_is_sent() -> None:
    assert sent([1, 1, 2, 2, 2, 1, 3]) == [1, 2, 1, 3]


def test_a_question_is_sent_when_its_answer_changes() -> None:
    """So that a value that is never the same twice can be told of, too."""
    assert sent([0.1, 0.2, 1.3, 1.4, 0.5], on_change="value > 1") == [0.1, 1.3, 0.5]


def test_what_cannot_be_said_is_the_same_each_time() -> None:
    nan = float("nan")
    assert [str(value) for value in sent([nan, nan, 1, nan])] == ["nan", "1.0", "nan"]


def test_a_change_that_every_s_held_back_is_sent_when_it_is_due() -> None:
    """At seconds 0 to 7; the value of second 1 still holds at second 3."""
    assert sent([1, 2, 2, 2, 2, 2, 2, 2], every_s=3) == [1, 2]


def test_an_output_counts_the_messages_that_it_made_and_not_what_it_held_back() -> None:
    ran = run_stage(Say, {}, packets([Score(1.0)] * 7), every_s=3)
    assert (ran.meters.done, ran.meters.emitted, len(ran.messages)) == (7, 3, 3)


def test_a_change_that_was_undone_before_it_was_due_is_not_sent() -> None:
    assert sent([1, 2, 1, 1, 1, 1], every_s=3) == [1]


def test_several_terms_are_each_a_reason_to_send() -> None:
    scores = [Score(1, parts={"a": 1.0}), Score(1, parts={"a": 2.0}), Score(1, parts={"a": 2.0})]
    ran = run_stage(Say, {}, packets(scores), on_change=["value", 'parts["a"]'])
    assert len(ran.messages) == 2


def test_a_source_that_was_reopened_begins_anew() -> None:
    both = [*packets([Score(1.0)]), *packets([Score(1.0)], epoch=1, first_seq=1)]
    assert len(run_stage(Say, {}, both, on_change=["value"]).messages) == 2


def test_each_source_is_compared_with_itself() -> None:
    one, two = packets([Score(1.0)] * 3, origin="a"), packets([Score(2.0)] * 3, origin="b")
    mixed = [packet for pair in zip(one, two, strict=True) for packet in pair]
    assert len(run_stage(Say, {}, mixed, on_change=["value"]).messages) == 2


class NoOptions(Options):
    """None."""


@output("tells")
class Tells:
    """Says the phase of an event."""

    def __init__(self, options: NoOptions, context: Context) -> None: ...

    def encode(self, packet: Packet[Event | Score]) -> Message:
        value = packet.value
        said = f"{value.event} {value.phase}" if isinstance(value, Event) else "score"
        return Message("test/stage", said.encode(), packet.taken_ns, binary=True)


def told(values: Sequence[Event | Score], **keys: Any) -> list[str]:
    ran = run_stage(Tells, {}, packets(values), on_change=["label"], **keys)
    return [message.body.decode() for message in ran.messages]


def event(name: str, phase: Phase, label: str = "it") -> Event:
    return Event(phase, name, "test", label, 0)


def test_beginnings_and_ends_pass_and_each_event_is_compared_with_itself() -> None:
    events = [
        event("a", "new", "person"),
        event("b", "new", "dog"),
        event("a", "update", "person"),
        event("b", "update", "dog"),
        event("a", "update", "child"),
        event("b", "end", "dog"),
        event("a", "end", "child"),
    ]
    assert told(events) == ["a new", "b new", "a update", "b end", "a end"]


def test_every_s_holds_back_no_end() -> None:
    events = [event("a", "new"), event("a", "update", "x"), event("a", "end", "x")]
    assert told(events, every_s=100) == ["a new", "a update", "a end"]


def test_a_payload_that_has_none_of_the_values_is_not_held_back() -> None:
    assert told([Score(1.0), Score(1.0)]) == ["score", "score"]


def test_what_was_lost_is_told_with_the_next_that_is_sent() -> None:
    @output("lost")
    class Lost(Tells):
        def encode(self, packet: Packet[Event | Score]) -> Message:
            return Message("t", str(packet.lost).encode(), packet.taken_ns, binary=True)

    values = [Score(1.0), Score(1.0), Score(2.0)]
    lossy = [packet._replace(lost=1) for packet in packets(values)]
    ran = run_stage(Lost, {}, lossy, on_change=["value"])
    assert [message.body for message in ran.messages] == [b"1", b"2"]


def test_what_could_not_be_encoded_was_not_sent() -> None:
    @output("once")
    class Once:
        def __init__(self, options: NoOptions, context: Context) -> None:
            self.silent = True

        def encode(self, packet: Packet[Event | Score]) -> Message | None:
            if self.silent:
                self.silent = False
                return None
            return Message("t", b"x", packet.taken_ns, binary=True)

    ran = run_stage(Once, {}, packets([Score(1.0)] * 3), on_change=["value"])
    assert len(ran.messages) == 1


def test_what_is_remembered_is_bounded() -> None:
    """Even where nobody ever hears of an end."""
    news = Changes([Term("label")], LogBook())
    for number in range(changes.MOST + 10):
        [packet] = packets([event(f"e{number}", "update")])
        assert news.is_news(packet)
        news.settle()
    assert len(news._sent) == changes.MOST


values = st.lists(st.integers(0, 3).map(float), max_size=60)


@given(values)
def test_no_two_neighbours_are_equal_and_the_last_value_is_sent(said: list[float]) -> None:
    messages = sent(said)
    assert all(one != two for one, two in pairwise(messages))
    assert messages[-1:] == said[-1:]


@given(values, st.integers(1, 7))
def test_with_a_pace_too_and_the_last_value_is_sent_as_soon_as_it_may(
    said: list[float], every_s: int
) -> None:
    """One packet a second; after the last change as many more come as one pace lasts."""
    scores = [Score(value) for value in [*said, *said[-1:] * every_s]]
    ran = run_stage(Say, {}, packets(scores), on_change=["value"], every_s=every_s)
    messages = [float(message.body) for message in ran.messages]
    times_ns = [message.taken_ns for message in ran.messages]
    assert all(one != two for one, two in pairwise(messages))
    assert all(b - a >= every_s * NS for a, b in pairwise(times_ns))
    assert messages[-1:] == said[-1:]


def test_a_message_lives_as_long_as_its_output_says() -> None:
    ran = run_stage(Say, {}, packets([Score(1.0)]), ttl_s=5)
    assert [message.ttl_s for message in ran.messages] == [5]
    ran = run_stage(Say, {}, packets([Score(1.0)]))
    assert [message.ttl_s for message in ran.messages] == [None]


def test_what_waits_for_the_broker_obeys_the_deadline_too(stepped_rig: Rig) -> None:
    """Of a deadline and a time to live the shorter one holds."""
    for keys, ttl_s in (({"deadline_ms": 5000}, 5), ({"deadline_ms": 5000, "ttl_s": 2}, 2)):
        stepped_rig.uplink.messages.clear()
        source = ("source", Scripted, {"script": Script(Score(1.0))})
        plan = chain(source, ("say", Say, {}), say=keys)
        run_stepped(Pipeline(plan, stepped_rig.kit))
        assert [message.ttl_s for message in stepped_rig.uplink.messages] == [ttl_s]
