"""State of recurrent models: kept from packet to packet, and never across an interruption."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeapp.api import (
    BadPacket,
    Context,
    FakeClock,
    Options,
    Packet,
    Score,
    Tensors,
    TensorSpec,
    TensorSpecs,
    model,
)
from edgeapp.config.device import DeviceConfig
from edgeapp.core.dial import Dial, Setting
from edgeapp.core.meters import StageMeters
from edgeapp.core.plugin import Plugin
from edgeapp.errors import ConfigError
from edgeapp.models.carry import misfits
from edgeapp.models.model import ModelStage
from edgeapp.models.session import Pool
from edgeapp.plan.graph import StagePlan, VariantPlan
from edgeapp.plan.load import load
from edgeapp.runtime.kit import FaultBudget, Kit, Life
from edgeapp.runtime.model_slot import ModelSlot
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.testing.stage import LogBook
from edgeapp.testing.uplink import RecordingUplink

Shape = tuple[int | str, ...]


class NoOptions(Options):
    pass


@model("summing")
class Summing:
    """Gives what the model gives; refuses negative numbers."""

    def __init__(self, options: NoOptions, _context: Context) -> None:
        self.seen: tuple[set[str], set[str]] | None = None

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        assert (set(inputs), set(outputs)) == ({"x", "factor"}, {"y"}), "what is carried is hidden"

    def initial(self, inputs: TensorSpecs, /) -> Tensors:
        return {"x": np.zeros((1, 2), np.float32), "factor": np.full((), 10, np.float32)}

    def feed(self, value: Score, /, *, into: Tensors) -> None:
        assert "state" not in into
        if value.value < 0:
            raise BadPacket("negative")
        into["x"][:] = value.value

    def decode(self, outputs: Tensors, _feed: None, /) -> Score:
        return Score(float(outputs["y"][0, 0]))


PLUGIN = Plugin(
    "model", "summing", Summing, NoOptions, Score, Score, lambda _: False, True, False, __file__
)


def summing_model(
    file: Path, *, state: Shape = (1, 2), next_state: Shape = (1, 2), x: Shape = (1, 2)
) -> Path:
    """`next = state + factor * x`, `y = next`: ten times the sum of all that came."""
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "state"], ["next"]),
        helper.make_node("Identity", ["next"], ["y"]),
    ]
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "sum",
        [
            helper.make_tensor_value_info("x", real, x),
            helper.make_tensor_value_info("factor", real, ()),
            helper.make_tensor_value_info("state", real, state),
        ],
        [
            helper.make_tensor_value_info("y", real, next_state),
            helper.make_tensor_value_info("next", real, next_state),
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), file)
    return file


class Bench:
    """A slot with a recurrent model, as in a pipeline."""

    def __init__(self, folder: Path, *files: Path) -> None:
        self.clock = FakeClock(1)
        variants = tuple(VariantPlan(file.stem, file, NoOptions()) for file in files)
        plan = StagePlan(
            "sum", PLUGIN, NoOptions(), ("mic",), (), variants=variants, carry={"next": "state"}
        )
        pool = Pool(self.clock)
        self.log = LogBook()
        kit = Kit(
            clock=self.clock,
            uplink=RecordingUplink(),
            pool=pool,
            log=self.log,
            data_dir=folder,
            seed=0,
        )
        self.dial = Dial(len(files), self.clock, may_divide=False)
        self.meters = StageMeters()
        life = Life(FaultBudget(self.clock))
        self.slot = ModelSlot(plan, "test", kit, life, self.meters, dial=self.dial, may_drop=False)
        self.seq = 0

    def ask(
        self, value: float = 1.0, *, epoch: int = 0, lost: int = 0, origin: str = "mic"
    ) -> float | None:
        packet = Packet(Score(value), origin, epoch, self.seq, 0, self.seq, 0, 0, lost, ())
        self.seq += 1
        answers = self.slot.handle([packet])
        return float(answers[0].value.value) if answers else None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made = []

    def make(*files: Path) -> Bench:
        made.append(Bench(tmp_path, *(files or [summing_model(tmp_path / "sum.onnx")])))
        return made[-1]

    yield make
    for one in made:
        one.slot.close()


def test_state_goes_from_packet_to_packet(bench: Callable[..., Bench]) -> None:
    b = bench()
    assert [b.ask(), b.ask(2), b.ask(3)] == [10, 30, 60]


@pytest.mark.parametrize("change", [{"epoch": 1}, {"lost": 2}, {"origin": "line"}])
def test_it_is_zero_where_the_stream_was_interrupted(
    bench: Callable[..., Bench], change: dict[str, Any]
) -> None:
    b = bench()
    kept = {key: value for key, value in change.items() if key != "lost"}
    assert [b.ask(), b.ask(), b.ask(**change), b.ask(**kept)] == [10, 20, 10, 20]


def test_it_is_zero_after_a_packet_that_the_stage_itself_dropped(
    bench: Callable[..., Bench],
) -> None:
    b = bench()
    assert [b.ask(), b.ask(), b.ask(-1), b.ask(), b.ask()] == [10, 20, None, 10, 20]
    assert b.meters.faults == 0


def test_it_is_zero_after_a_rebuild(bench: Callable[..., Bench]) -> None:
    b = bench()
    assert [b.ask(), b.ask()] == [10, 20]
    b.slot.close()
    assert b.ask() == 10


def test_it_is_zero_after_a_swap_of_variants_also_back(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    b = bench(summing_model(tmp_path / "large.onnx"), summing_model(tmp_path / "small.onnx"))
    assert [b.ask(), b.ask()] == [10, 20]
    for rung in (1, 0):
        b.dial.want(Setting(rung))
        asked: list[float | None] = []
        while b.dial.actual.rung != rung:
            stage: ModelStage = b.slot._stage
            if stage._opening:
                stage._opening.wait()
            asked.append(b.ask())
        assert [asked[-1], b.ask(), b.ask()] == [10, 20, 30]


def test_state_that_is_no_number_does_not_stay(bench: Callable[..., Bench]) -> None:
    """One such sample would spoil every answer to come."""
    b = bench()
    assert [b.ask(), b.ask(float("inf")), b.ask(), b.ask()] == [10, None, 10, 20]
    assert b.meters.dropped == {"not_finite": 1}


def test_dimensions_that_are_open_at_both_ends_are_one(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    """As Silero VAD leaves them; the decoder closes those of its own inputs."""
    open_ended = summing_model(
        tmp_path / "open.onnx", state=("batch", 2), next_state=("a", "b"), x=("batch", "samples")
    )
    b = bench(open_ended)
    assert [b.ask(), b.ask()] == [10, 20]


def test_a_model_that_gives_another_shape_than_it_takes_is_not_used(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    """Both ends are open, and only running it shows."""
    odd = summing_model(
        tmp_path / "odd.onnx", state=("n", "m"), next_state=("i", "k"), x=("b", "s")
    )
    b = bench(odd)
    assert b.ask() is None
    assert b.slot.waiting_for is not None
    assert "'odd.onnx' gives 'next' as [1, 2], but takes 'state' as [1, 1]" in b.slot.waiting_for


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(shape, dtype)


@pytest.mark.parametrize(
    ("carry", "problem", "remedy"),
    [
        (
            {"stateM": "state"},
            "has no output 'stateM'",
            "did you mean 'stateN'? Outputs: y, stateN",
        ),
        ({"stateN": "stat"}, "has no input 'stat'", "did you mean 'state'? Inputs: x, state"),
        (
            {"y": "state"},
            "gives 'y' as [1, 1] float32, but takes 'state' as [2, ?, 128] float32",
            "what is carried must fit where it goes",
        ),
        (
            {"stateN": "x"},
            "gives 'stateN' as [?, ?, 128] float32, but takes 'x' as [1, 512] float32",
            "what is carried must fit where it goes",
        ),
        (
            {"stateN": "state", "y": "state"},
            "cannot take both 'stateN' and 'y' as 'state'",
            "carry one of them",
        ),
    ],
)
def test_what_does_not_fit_is_said(carry: dict[str, str], problem: str, remedy: str) -> None:
    inputs = {"x": spec(1, 512), "state": spec(2, None, 128)}
    outputs = {"y": spec(1, 1), "stateN": spec(None, None, 128)}
    [wrong] = misfits(carry, inputs, outputs)
    assert (wrong.problem, wrong.remedy) == (problem, remedy)


def test_another_type_of_number_does_not_fit() -> None:
    [wrong] = misfits({"a": "b"}, {"b": spec(1)}, {"a": spec(1, dtype="float64")})
    assert wrong.of_input


PIPELINE = """
name: ears
stages:
  mic: {source: sounds}
  window: {transform: window, length_samples: 2}
  before:
    model: sound
    labels: [a, b]
    constants: {factor: 2}
    variants: [sum.onnx]
    carry: {CARRY}
  after: {transform: episodes}
"""


def check(folder: Path, carry: str) -> Any:
    summing_model(folder / "sum.onnx")
    file = folder / "ears.yaml"
    file.write_text(PIPELINE.replace("{CARRY}", carry))
    [plan] = load([file], device=DeviceConfig("test", folder / "data", None, None))
    return plan


def test_a_stage_that_carries_is_given_every_packet(tmp_path: Path) -> None:
    plan = check(tmp_path, "{next: state}")
    assert plan.stages["before"].carry == {"next": "state"}
    assert not [stage.id for stage in plan.stages.values() if stage.gate_for]
    kit = Kit(
        clock=FakeClock(),
        uplink=RecordingUplink(),
        pool=None,
        log=LogBook(),
        data_dir=tmp_path,
        seed=0,
    )
    dial = Pipeline(plan, kit).dials["before"]
    assert not dial.may_divide
    with pytest.raises(ValueError, match="divisor 2 is not possible here"):
        dial.want(Setting(0, 2))


@pytest.mark.parametrize(
    ("carry", "column", "problem"),
    [
        ("{nxt: state}", 13, "'sum.onnx' has no output 'nxt'"),
        ("{next: stat}", 19, "'sum.onnx' has no input 'stat'"),
        ("state", 12, "stage 'before': carry must be"),
    ],
)
def test_mistakes_are_shown_where_they_stand(
    tmp_path: Path, carry: str, column: int, problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, carry)
    [complaint] = [c for c in caught.value.complaints if c.problem.startswith(problem)]
    assert complaint.place is not None
    assert (complaint.place.line, complaint.place.column) == (11, column)


def test_state_that_nobody_carries_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, "{}")
    assert (
        "come back from an output by 'carry'; left are x [1, 2] float32, state [1, 2] float32"
        in (caught.value.complaints[0].problem)
    )
