import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeapp.api import (
    Context,
    FakeClock,
    Hop,
    Live,
    Options,
    Packet,
    Score,
    Tensors,
    TensorSpecs,
    model,
)
from edgeapp.core.dial import CLOSED, LEASE_S, Dial, Setting
from edgeapp.core.plugin import Plugin
from edgeapp.errors import Unavailable
from edgeapp.models.model import ModelStage
from edgeapp.models.session import LINGER_S, Look, Pool, Session
from edgeapp.plan.graph import StagePlan, VariantPlan
from edgeapp.testing.stage import LogBook

MakeModel = Callable[..., Path]


class TimesOptions(Options):
    fault: str = ""
    plus: Annotated[float, Live()] = 0.0


@model("times")
class Times:
    """Multiply a score by what the model says."""

    def __init__(self, options: TimesOptions, _context: Context) -> None:
        self._options = options

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        if self._options.fault == "refuses":
            raise ValueError("this decoder wants another model")
        if self._options.fault == "raises":
            raise RuntimeError("a bug of the decoder")
        if self._options.fault == "no memory":
            raise MemoryError
        if self._options.fault == "leaves":
            raise SystemExit(3)
        assert set(inputs) == {"x"}
        assert set(outputs) == {"y"}

    def feed(self, value: Score, /, *, into: Tensors) -> None:
        if self._options.fault == "stumbles" or (
            self._options.fault == "stumbles later" and value.value < 0
        ):
            raise RuntimeError("it was good on the bench")
        into["x"][:] = value.value

    def decode(self, outputs: Tensors, _feed: None, /) -> Score:
        return Score(float(outputs["y"][0, 0]) + self._options.plus)

    def tune(self, options: TimesOptions) -> None:
        self._options = options


PLUGIN = Plugin(
    "model", "times", Times, TimesOptions, Score, Score, lambda _: False, True, False, __file__
)


class GatedPool(Pool):
    """A pool in which some files load only once they are let through."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.gates: dict[str, threading.Event] = {}
        self.freed_at: list[int] = []
        """Niceness of the threads that let go of models."""

    def sweep(self) -> None:
        before = len(self)
        super().sweep()
        if len(self) < before:
            self.freed_at.append(os.nice(0))

    @contextmanager
    def lease(self, file: Path, *look: Look) -> Iterator[Session]:
        if gate := self.gates.get(file.name):
            assert gate.wait(60)
        with super().lease(file, *look) as session:
            yield session


class Bench:
    """A model stage with a ladder of multipliers: rung r of a ladder of n gives value x (n - r)."""

    def __init__(self, folder: Path, make_model: MakeModel, **faults: str) -> None:
        self.clock = FakeClock(1_000_000_000)
        self.pool = GatedPool(self.clock)
        self.log = LogBook()
        self.context = Context(
            "line", "ask", self.log, self.clock, random.Random(0), folder, threading.Event()
        )
        variants = []
        for rung, (name, fault) in enumerate(faults.items()):
            file = make_model(f"{name}.onnx", factor=float(len(faults) - rung))
            if fault == "no model":
                file.write_bytes(b"no model")
            options = TimesOptions(fault="" if fault == "no model" else fault)
            variants.append(VariantPlan(name, file, options))
        self.plan = StagePlan(
            "ask", PLUGIN, variants[0].options, ("camera",), (), variants=tuple(variants)
        )
        self.dial = Dial(len(variants), self.clock)
        self.stage = ModelStage(self.plan, self.context, self.dial, self.pool)

    def ask(self, value: float = 1.0) -> Packet[Score]:
        earlier = Hop("before", "other", "a", 0)
        packet = Packet(Score(value), "camera", 1, 7, 2, 123, 456, 5, 3, (earlier,))
        answer = self.stage.process(packet)
        assert answer._replace(value=packet.value, trail=packet.trail) == packet
        assert answer.trail[0] == earlier
        assert len(answer.trail) == 2
        hop = answer.trail[1]
        assert (hop.stage, hop.model) == ("ask", "times")
        assert answer.value.value == value * (len(self.plan.variants) - hop.rung)
        assert hop.variant == self.plan.variants[hop.rung].name
        assert self.dial.actual.rung == hop.rung
        return answer

    def rung(self) -> int:
        """The rung that answers now."""
        return self.ask().trail[1].rung

    def warnings(self) -> list[tuple[str, dict[str, object]]]:
        return [(event, facts) for level, event, facts in self.log.events if level == "warning"]

    def settle(self) -> int:
        """Let whatever is being opened open; the rung that answers then."""
        for _ in range(20):
            rung = self.rung()
            if self.stage._opening:
                self.stage._opening.wait()
            elif self.stage._settled:
                return rung
        raise AssertionError("it never settles")


@pytest.fixture
def bench(tmp_path: Path, make_model: MakeModel) -> Callable[..., Bench]:
    def make(**faults: str) -> Bench:
        return Bench(tmp_path, make_model, **faults)

    return make


def test_it_answers_with_the_best_variant_and_says_so(bench: Callable[..., Bench]) -> None:
    b = bench(large="", small="")
    with b.stage:
        assert b.dial.actual == Setting(0)
        answer = b.ask(21.0)
        assert answer.value == Score(42.0)
        assert answer.trail[1] == Hop("ask", "times", "large", 0)


def test_a_step_down_takes_effect_with_the_very_next_packet(bench: Callable[..., Bench]) -> None:
    """The next rung down is kept open, so nothing has to be loaded first."""
    b = bench(large="", medium="", small="")
    with b.stage:
        assert b.settle() == 0
        b.pool.gates["medium.onnx"] = threading.Event()
        b.dial.want(Setting(1, 3))
        assert b.rung() == 1
        assert b.dial.actual == Setting(1, 3)


def test_while_a_rung_loads_the_old_one_answers(bench: Callable[..., Bench]) -> None:
    b = bench(large="", medium="", small="")
    gate = b.pool.gates["large.onnx"] = threading.Event()
    b.dial.want(Setting(1))
    with b.stage:
        assert b.settle() == 1
        opening = [b.dial.opening]
        b.dial.want(Setting(0))
        assert [b.rung() for _ in range(5)] == [1] * 5
        opening.append(b.dial.opening)
        gate.set()
        assert b.settle() == 0
        assert [*opening, b.dial.opening] == [False, True, False]


def test_models_are_loaded_one_at_a_time(bench: Callable[..., Bench]) -> None:
    """While another stage loads, this one answers with what it has; then it is its turn."""
    b = bench(large="", medium="", small="")
    b.dial.want(Setting(1))
    with b.stage:
        assert b.settle() == 1
        assert b.pool.take_turn()
        b.dial.want(Setting(0))
        assert [b.rung() for _ in range(5)] == [1] * 5
        assert not b.dial.opening
        b.pool.end_turn()
        assert b.settle() == 0
    assert b.pool.take_turn(), "the turn ends with the loading"


def test_what_lingered_is_freed_before_the_loading_thread_gives_way(
    bench: Callable[..., Bench],
) -> None:
    """Freeing holds the interpreter's lock: at a low priority all others would wait for it."""
    b = bench(large="", medium="", small="")
    with b.stage:
        assert b.settle() == 0
        b.dial.want(Setting(2))
        assert b.settle() == 2
        b.clock.advance(LINGER_S + 1)
        b.dial.want(Setting(1))
        assert b.settle() == 1
    assert b.pool.freed_at == [os.nice(0)]


def test_far_down_it_goes_as_far_as_it_can_at_once(bench: Callable[..., Bench]) -> None:
    """The next rung down is open: it relieves the device while the one that is wanted loads."""
    b = bench(large="", medium="", small="")
    gate = b.pool.gates["small.onnx"] = threading.Event()
    with b.stage:
        assert b.settle() == 0
        b.dial.want(Setting(2))
        assert [b.rung() for _ in range(5)] == [1] * 5
        gate.set()
        assert b.settle() == 2
        b.dial.want(Setting(0))
        assert b.settle() == 0


def test_every_rung_is_tuned_also_one_that_is_being_opened(bench: Callable[..., Bench]) -> None:
    """And the one that is opened only later."""
    b = bench(large="", medium="", small="", tiny="")
    gate = b.pool.gates["small.onnx"] = threading.Event()
    with b.stage:
        assert b.settle() == 0  # medium is kept open beside it
        b.dial.want(Setting(2))
        assert b.rung() == 1  # small is being opened
        variants = tuple(
            replace(variant, options=TimesOptions(plus=100.0)) for variant in b.plan.variants
        )
        b.stage.tune(replace(b.plan, variants=variants))
        packet = Packet(Score(1.0), "camera", 1, 7, 2, 123, 456, 5, 3, ())
        assert b.stage.process(packet).value == Score(103.0)
        gate.set()
        for rung, value in ((2, 102.0), (3, 101.0), (0, 104.0)):
            b.dial.want(Setting(rung))
            for _ in range(20):
                answer = b.stage.process(packet)
                if answer.trail[0].rung == rung:
                    break
                if b.stage._opening:
                    b.stage._opening.wait()
            assert answer.value == Score(value)


def test_it_steps_back_up(bench: Callable[..., Bench]) -> None:
    b = bench(large="", medium="", small="")
    with b.stage:
        for rung in (2, 1, 0, 2, 0):
            b.dial.want(Setting(rung))
            assert b.settle() == rung


def test_a_governor_that_stalls_leaves_the_floor(bench: Callable[..., Bench]) -> None:
    b = bench(large="", medium="", small="")
    with b.stage:
        b.dial.want(Setting(0))
        assert b.settle() == 0
        b.clock.advance(LEASE_S)
        assert b.settle() == 2


def test_it_starts_where_the_dial_says(bench: Callable[..., Bench]) -> None:
    b = bench(large="", small="")
    b.dial.want(Setting(1))
    with b.stage:
        assert b.dial.actual == Setting(1)
        assert b.rung() == 1


def test_only_the_rung_in_use_and_the_next_one_down_stay_open(
    bench: Callable[..., Bench],
) -> None:
    b = bench(a="", b="", c="", d="")
    with b.stage:
        for wanted, expected in ((0, {0, 1}), (2, {2, 3}), (3, {3}), (1, {1, 2})):
            b.dial.want(Setting(wanted))
            b.settle()
            assert b.stage._open.keys() == expected
            b.clock.advance(LINGER_S)
            b.dial.want(Setting(wanted))
            b.pool.sweep()
            assert len(b.pool) == len(expected)


def test_short_of_memory_nothing_stays_loaded_that_is_not_in_use(
    bench: Callable[..., Bench],
) -> None:
    """Not even for the time that models linger; and it comes back when there is memory."""
    b = bench(a="", b="", c="")
    with b.stage:
        b.settle()
        assert len(b.pool) == 2
        b.dial.want(Setting(0), standby=False)
        b.stage.follow()
        assert b.stage._open.keys() == {0}
        assert len(b.pool) == 1
        for wanted in (2, 0, 1):
            b.dial.want(Setting(wanted), standby=False)
            assert b.settle() == wanted
            assert b.stage._open.keys() == {wanted}
            assert len(b.pool) == 1
        b.dial.want(Setting(1))
        b.settle()
        assert b.stage._open.keys() == {1, 2}


def test_it_follows_the_dial_without_a_packet(bench: Callable[..., Bench]) -> None:
    """As when the gate before it is closed."""
    b = bench(large="", small="")
    with b.stage:
        b.settle()
        b.dial.want(Setting(1, CLOSED))
        b.stage.follow()
        assert b.dial.actual == Setting(1, CLOSED)


def test_a_rung_that_fails_at_its_first_packet_is_struck_and_the_packet_answered(
    bench: Callable[..., Bench],
) -> None:
    """It loads and runs on zeros, and that is all it does; the one before it is still there."""
    b = bench(large="", medium="stumbles", small="")
    with b.stage:
        assert b.settle() == 0
        b.dial.want(Setting(1))
        assert b.rung() == 0
        assert b.dial.struck == {1}
        assert b.dial.actual == Setting(0)
        assert b.settle() == 2, "the next rung below the one that was wanted"
    [(event, facts)] = b.warnings()
    assert (event, facts["rung"]) == ("variant cannot be used", 1)
    assert "it was good on the bench" in str(facts["problem"])


def test_one_that_has_answered_before_is_not_struck_when_it_raises(
    bench: Callable[..., Bench],
) -> None:
    """Then it is the packet's fault, or that of the decoder: the runtime's to judge."""
    b = bench(large="", small="stumbles later")
    with b.stage:
        b.settle()
        b.dial.want(Setting(1))
        assert b.settle() == 1
        assert b.stage._open.keys() == {1}, "the one before is not kept any longer"
        with pytest.raises(RuntimeError, match="good on the bench"):
            b.ask(-1.0)
        assert b.dial.struck == frozenset()


def test_a_packet_that_no_rung_can_answer_is_a_fault(bench: Callable[..., Bench]) -> None:
    b = bench(large="stumbles later", small="stumbles later")
    with b.stage:
        b.settle()
        b.dial.want(Setting(1))
        with pytest.raises(RuntimeError, match="good on the bench"):
            b.ask(-1.0)


def test_a_flip_that_is_taken_back_before_a_packet_came_changes_nothing(
    bench: Callable[..., Bench],
) -> None:
    b = bench(large="", small="stumbles")
    with b.stage:
        assert b.settle() == 0
        b.dial.want(Setting(1))
        b.stage.follow()
        b.dial.want(Setting(0))
        assert b.settle() == 0
        assert b.dial.struck == frozenset()


def test_without_memory_for_its_first_rung_it_starts_on_the_next(
    bench: Callable[..., Bench],
) -> None:
    b = bench(large="no memory", small="")
    with b.stage:
        assert b.settle() == 1
        assert b.dial.struck == {0}


def test_without_a_thread_to_load_on_the_old_one_answers(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that is out of memory has no room for a thread either."""
    b = bench(large="", small="")

    def no_room(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with b.stage:
        monkeypatch.setattr(threading.Thread, "start", no_room)
        assert [b.rung() for _ in range(3)] == [0] * 3
        assert b.dial.struck == {1}
        assert not b.dial.opening


@pytest.mark.parametrize("fault", ["no model", "refuses", "raises", "no memory", "leaves"])
def test_a_rung_that_cannot_be_used_is_struck_once_and_the_old_one_answers(
    fault: str, bench: Callable[..., Bench]
) -> None:
    b = bench(large="", small=fault)
    with b.stage:
        b.dial.want(Setting(1))
        assert b.settle() == 0
        for _ in range(3):
            b.dial.want(Setting(0))
            b.settle()
            b.dial.want(Setting(1))
            assert b.settle() == 0
        assert b.dial.struck == {1}
        assert b.dial.actual == Setting(0)
    [(event, facts)] = b.warnings()
    assert event == "variant cannot be used"
    assert (facts["variant"], facts["rung"]) == ("small", 1)
    assert {
        "no model": "'small.onnx' is not an ONNX model",
        "refuses": "this decoder wants another model",
        "raises": "RuntimeError('a bug of the decoder')",
        "no memory": "MemoryError()",
        "leaves": "SystemExit(3)",
    }[fault] in str(facts["problem"])


def test_a_struck_rung_is_passed_over_on_the_way_down(bench: Callable[..., Bench]) -> None:
    b = bench(large="", medium="no model", small="")
    with b.stage:
        assert b.settle() == 0
        assert b.dial.struck == {1}
        b.pool.gates["small.onnx"] = threading.Event()
        b.dial.want(Setting(1))
        assert b.rung() == 2, "the rung after the struck one was open already"


def test_without_its_first_rung_it_starts_on_the_next(bench: Callable[..., Bench]) -> None:
    b = bench(large="no model", medium="refuses", small="")
    with b.stage:
        assert b.dial.struck == {0, 1}
        assert b.dial.actual == Setting(2)
        assert b.settle() == 2
    assert [facts["variant"] for _, facts in b.warnings()] == ["large", "medium"]


def test_without_the_wanted_rung_and_those_below_it_starts_above(
    bench: Callable[..., Bench],
) -> None:
    b = bench(large="", medium="", small="no model")
    b.dial.want(Setting(2))
    with b.stage:
        assert b.settle() == 1


def test_without_any_rung_it_is_unavailable_and_says_why(bench: Callable[..., Bench]) -> None:
    b = bench(large="no model", small="refuses")
    with pytest.raises(Unavailable, match=r"'large\.onnx' is not.*; this decoder wants"), b.stage:
        pass
    assert len(b.pool) == 1, "nothing but what lingers"
    b.clock.advance(LINGER_S)
    b.pool.sweep()
    assert len(b.pool) == 0


def test_a_repaired_file_is_used_once_the_stage_is_rebuilt(
    bench: Callable[..., Bench], make_model: MakeModel
) -> None:
    b = bench(large="no model", small="")
    with b.stage:
        assert b.settle() == 1
    make_model("large.onnx", factor=2.0)
    b.stage = ModelStage(b.plan, b.context, b.dial, b.pool)
    with b.stage:
        assert b.settle() == 0
        assert b.dial.struck == frozenset()


def test_a_bug_in_the_decoder_is_a_fault_at_the_start(bench: Callable[..., Bench]) -> None:
    b = bench(only="raises")
    with pytest.raises(RuntimeError, match="a bug"), b.stage:
        pass


def test_closed_it_leaves_no_thread_and_no_lease(bench: Callable[..., Bench]) -> None:
    """Even when it is closed in the middle of loading."""
    before = set(threading.enumerate())
    b = bench(large="", medium="", small="")
    gate = b.pool.gates["medium.onnx"] = threading.Event()
    with b.stage:
        assert b.rung() == 0
        [helper] = set(threading.enumerate()) - before
        assert (helper.name, helper.daemon) == ("line/ask/open", True)
        threading.Timer(0.01, gate.set).start()
    assert not helper.is_alive()
    assert len(b.pool) == 2
    b.clock.advance(LINGER_S)
    b.pool.sweep()
    assert len(b.pool) == 0


def test_stages_share_the_models_of_one_pool(bench: Callable[..., Bench]) -> None:
    b = bench(only="")
    other = ModelStage(b.plan, b.context, Dial(1, b.clock), b.pool)
    with b.stage, other:
        assert len(b.pool) == 1
        assert b.rung() == 0


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    broken=st.lists(st.booleans(), min_size=1, max_size=5).filter(lambda b: not all(b)),
    wishes=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=8),
)
def test_whatever_is_wanted_every_packet_is_answered_by_the_nearest_usable_rung(
    broken: list[bool],
    wishes: list[tuple[int, bool]],
    tmp_path: Path,
    make_model: MakeModel,
) -> None:
    """Nearest: the rung itself, else the next usable one down, else the next one up."""
    faults = {f"v{rung}": "no model" if bad else "" for rung, bad in enumerate(broken)}
    b = Bench(tmp_path, make_model, **faults)
    usable = [rung for rung, bad in enumerate(broken) if not bad]
    with b.stage:
        for wish, patient in wishes:
            rung = wish % len(broken)
            b.dial.want(Setting(rung))
            assert b.rung() in usable
            if patient:
                nearest = next((r for r in usable if r >= rung), usable[-1])
                assert b.settle() == nearest
    b.clock.advance(LINGER_S)
    b.pool.sweep()
    assert len(b.pool) == 0
