"""What `edgeapp.testing` promises to authors of plugins."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgeapp.api import (
    Context,
    Field,
    Message,
    Options,
    Packet,
    PluginError,
    Score,
    output,
    transform,
)
from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.packet import Key
from edgeapp.testing import (
    Abort,
    Fail,
    Pause,
    RecordingUplink,
    Script,
    Scripted,
    context,
    packets,
    run_source,
    run_stage,
)


class ScaleOptions(Options):
    factor: float = Field(description="What to multiply by.")


@transform("scale", stateless=True)
class Scale:
    """Multiplies; three is a bug; remembers its calls in a file."""

    def __init__(self, options: ScaleOptions, context: Context) -> None:
        self.factor = options.factor
        self.clock = context.clock
        self.state_dir = context.state_dir

    def process(self, packet: Packet[Score]) -> Score:
        if packet.value.value == 3:
            raise ZeroDivisionError
        assert self.clock.now_ns() == packet.t_ns
        self.state_dir.mkdir(parents=True, exist_ok=True)
        (self.state_dir / "last").write_text(str(packet.seq))
        return Score(packet.value.value * self.factor)


@output("say")
class Say:
    """Says the number."""

    def __init__(self, options: Options, context: Context) -> None:
        pass

    def encode(self, packet: Packet[Score]) -> Message:
        return Message("test/say", b"%d" % packet.value.value, packet.taken_ns, binary=True)


class NotMarked:
    """No plugin."""


def scores(*values: float) -> list[Score]:
    return [Score(value) for value in values]


def test_packets_are_spaced_evenly_from_the_start_of_the_stream() -> None:
    made = list(packets(scores(1, 2), rate_hz=4, origin="s", epoch=2, first_seq=8))
    assert [p.key for p in made] == [Key("s", 2, 8, 0), Key("s", 2, 9, 0)]
    assert [p.t_ns for p in made] == [2 * NS, 9 * NS // 4]


def test_a_stage_runs_as_in_a_pipeline_its_faults_counted() -> None:
    ran = run_stage(Scale, {"factor": 2}, packets(scores(1, 3, 5)))
    assert [value.value for value in ran.values] == [2, 10]
    assert [p.lost for p in ran.packets] == [0, 1]
    assert dict(ran.dropped) == {"fault": 1}
    assert ran.log.said("error") == ["stage raised"]


def test_the_state_of_a_stage_lies_where_the_test_says(tmp_path: Path) -> None:
    run_stage(Scale, {"factor": 2}, packets(scores(1, 2)), data_dir=tmp_path)
    assert (tmp_path / "test" / "stage" / "last").read_text() == "1"


def test_messages_of_an_output_are_kept() -> None:
    ran = run_stage(Say, {}, packets(scores(7, 8, 9), rate_hz=1), every_s=2)
    assert [message.body for message in ran.messages] == [b"7", b"9"]
    assert ran.packets == []


@pytest.mark.parametrize(
    ("cls", "options", "error"),
    [
        (NotMarked, {}, PluginError),
        (Scale, {}, ValidationError),
        (Scale, {"factor": 1, "faktor": 2}, ValidationError),
        (Scripted, {"script": Script()}, TypeError),
    ],
)
def test_what_cannot_be_run_is_refused(
    cls: type[Any], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        run_stage(cls, options, packets(scores(1)))


def test_a_script_goes_on_in_the_next_epoch_where_it_broke_off() -> None:
    """The device went away, the source has a bug, nothing comes for an hour: no time passes."""
    clock = FakeClock()
    script = Script(Score(0), Abort(), Score(1), Fail(), Pause(3600), Score(2))
    ran = run_source(Scripted, {"script": script}, epochs=3, clock=clock)
    assert [(p.epoch, p.seq, p.value.value) for p in ran.packets] == [
        (0, 0, 0),
        (1, 0, 1),
        (2, 0, 2),
    ]
    assert ran.meters.faults == 1
    assert clock.now_ns() > 3600 * NS
    assert ran.log.said("warning") == ["source unavailable, retrying"]


def test_a_source_is_stopped_after_so_many_packets_or_epochs() -> None:
    one = run_source(Scripted, {"script": Script(*scores(0, 1, 2))}, limit=2)
    assert [p.value.value for p in one.packets] == [0, 1]
    script = Script(Score(0), Abort(), Score(1))
    two = run_source(Scripted, {"script": script})
    assert [p.value.value for p in two.packets] == [0]
    assert (one.meters.faults, two.meters.faults) == (0, 0)


def test_an_uplink_can_be_full() -> None:
    uplink = RecordingUplink(accept=False)
    assert not uplink.offer(Message("a", b"{}", 0))
    assert (uplink.refused, uplink.messages) == (1, [])


def test_a_stage_built_by_hand_gets_surroundings() -> None:
    surroundings = context("here", clock=FakeClock(5))
    surroundings.log.bind(more=1).info("said")
    assert surroundings.id == "here"
    assert surroundings.clock.now_ns() == 5
    assert surroundings.random.random() == context().random.random()
