"""Sinks that read several stages, of one source or of several."""

from typing import Any, Self

from edgeapp.api import Context, Event, Message, Packet, Score, output
from edgeapp.core.clock import NS, FakeClock
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.stepped import run_stepped
from edgeapp.testing import Script, Scripted
from edgeapp.testing.stage import run_stage
from tests.runtime.parts import NoOptions, Say, TapOptions, numbers
from tests.runtime.rig import Rig, chain


@output("diary")
class Diary:
    """Notes when it is opened, what it gets, and when it is closed."""

    def __init__(self, options: TapOptions, context: Context) -> None:
        self.into: list[Any] = options.into

    def __enter__(self) -> Self:
        self.into.append("opened")
        return self

    def __exit__(self, *_: object) -> None:
        self.into.append("closed")

    def encode(self, packet: Packet[Score]) -> Message | None:
        self.into.append(packet.origin)
        return None


def test_a_stepped_run_opens_and_closes_a_sink_of_two_sources_once(rig: Rig) -> None:
    diary: list[str] = []
    plan = chain(
        ("left", Scripted, {"script": Script(*numbers(2))}),
        ("right", Scripted, {"script": Script(*numbers(2))}),
        ("diary", Diary, {"into": diary}),
        right={"reads": ()},
        diary={"reads": ("left", "right")},
    )
    rig.clock = FakeClock()
    run_stepped(Pipeline(plan, rig.kit))
    assert diary == ["opened", "left", "left", "right", "right", "closed"]


def paced(*packets: Packet[Any]) -> list[float]:
    """When messages were sent, by an output that sends one a second."""
    return [message.taken_ns / NS for message in run_stage(Say, {}, packets, every_s=1.0).messages]


def score(origin: str, epoch: int, t_s: float) -> Packet[Score]:
    t_ns = int(t_s * NS)
    return Packet(Score(0.0), origin, epoch, int(t_s * 10), 0, t_ns, t_ns, 0, 0, ())


def test_every_s_holds_for_each_source_in_whatever_epoch_it_is() -> None:
    """Two cameras, one of which was unplugged once: their epochs differ from then on."""
    packets = [
        score(origin, epoch, tenth / 10)
        for tenth in range(30)
        for origin, epoch in (("left", 0), ("right", 3))
    ]
    assert paced(*packets) == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]


def test_every_s_lets_no_stage_starve_another() -> None:
    """Of two stages that answer the same packet, the second is heard as well."""
    update = Event("update", "e", "test", "it", 0)
    packets: list[Packet[Any]] = []
    for tenth in range(20):
        packet: Packet[Any] = score("s", 0, tenth / 10)
        packets += [packet, packet._replace(value=update)]
    sent = run_stage(Both, {}, packets, every_s=1.0).messages
    assert [message.body for message in sent] == [b"Score", b"Event"] * 2


@output("both")
class Both:
    """Says what kind of payload it got."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        self.topic = f"{context.pipeline}/{context.id}"

    def encode(self, packet: Packet[Score | Event]) -> Message:
        body = type(packet.value).__name__.encode()
        return Message(self.topic, body, packet.taken_ns, binary=True)
