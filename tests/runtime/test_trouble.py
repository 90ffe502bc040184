"""What stages may do wrong: nothing vanishes from the counts, and no key comes twice."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import pytest

from edgeapp.api import (
    At,
    BadPacket,
    Context,
    Message,
    Packet,
    Score,
    Unavailable,
    action,
    output,
    source,
    transform,
)
from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.dial import CLOSED, Dial, Setting
from edgeapp.core.link import AnyPacket
from edgeapp.core.stage import Emit
from edgeapp.errors import Stopping
from edgeapp.runtime.kit import FaultBudget, Life
from edgeapp.runtime.model_slot import Gate
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import status_of
from edgeapp.runtime.stepped import run_stepped
from edgeapp.testing import Script, Scripted, packets, run_source, run_stage
from tests.runtime.parts import Double, NoOptions, Tap, Thrice, numbers
from tests.runtime.rig import Rig, chain


@transform("one_or_two")
class OneOrTwo:
    """One value for an odd part, two for an even one."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Score | Iterable[Score]:
        return packet.value if packet.part % 2 else [packet.value, packet.value]


@transform("answers_and_holds")
class AnswersAndHolds:
    """Answers each packet and has one more at the end."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Score:
        return packet.value

    def flush(self) -> Iterable[Score]:
        yield Score(99)


@transform("at_nothing", stateless=True)
class AtNothing:
    """Puts a time on what is no payload."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> At[Score]:
        return At(packet.value, packet.t_ns)

    def process_many(self, packets: Sequence[Packet[Score]]) -> list[At[Score]]:
        return [At("text", 0) for _ in packets]  # type: ignore[arg-type]  # the mistake


@transform("streams")
class Streams:
    """An async generator."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    async def process(self, packet: Packet[Score]) -> AsyncIterator[Score]:
        yield packet.value
        yield Score(-packet.value.value)


@output("refuses_odd")
class RefusesOdd:
    """Refuses odd numbers; says what else was lost before."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def encode(self, packet: Packet[Score]) -> Message:
        if packet.value.value % 2:
            raise BadPacket("odd", reason="full")
        return Message("lost", str(packet.lost).encode(), 0, binary=True)


@action("tells_lost")
class TellsLost:
    """Refuses odd numbers; keeps what the others say was lost before."""

    lost: ClassVar[list[int]] = []

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def act(self, packet: Packet[Score]) -> None:
        if packet.value.value % 2:
            raise BadPacket("odd")
        self.lost.append(packet.lost)


@transform("interrupts")
class Interrupts:
    """Where Ctrl-C strikes."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Score:
        raise KeyboardInterrupt


@transform("stops_for_no_reason")
class StopsForNoReason:
    """Raises what only a stopping pipeline raises."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        raise Stopping

    def process(self, packet: Packet[Score]) -> Score:
        return packet.value


@transform("gone_after_a_while")
class GoneAfterAWhile:
    """Is unavailable on a negative number and whenever it is built before stream time `until`."""

    tries: ClassVar[list[int]] = []
    until_ns: ClassVar[int] = 0

    def __init__(self, options: NoOptions, context: Context) -> None:
        now_ns = context.clock.now_ns()
        self.tries.append(now_ns)
        if now_ns < self.until_ns:
            raise Unavailable("gone")

    def process(self, packet: Packet[Score]) -> Score:
        if packet.value.value < 0:
            raise Unavailable("gone")
        return packet.value


@source("closes_badly", live=False)
class ClosesBadly:
    """Ends, or loses its device; closing it raises."""

    opened: ClassVar[int] = 0

    def __init__(self, options: NoOptions, context: Context) -> None:
        type(self).opened += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        raise OSError("no such device")

    def run(self, emit: Emit[Score]) -> None:
        emit(Score(1.0), t_ns=0)
        if self.opened < 4:
            raise Unavailable("unplugged")


def scripted(*items: Any, **options: Any) -> tuple[str, type[Any], dict[str, Any]]:
    return ("source", Scripted, {"script": Script(*items), **options})


def stepped(rig: Rig, *stages: Any) -> Pipeline:
    pipeline = Pipeline(chain(*stages), rig.kit)
    assert run_stepped(pipeline).ending == "finished"
    assert status_of(pipeline).unaccounted() == []
    return pipeline


def test_keys_stay_unique_where_a_stage_gives_now_one_now_several(stepped_rig: Rig) -> None:
    out: list[Any] = []
    stepped(
        stepped_rig,
        scripted(*numbers(3)),
        ("thrice", Thrice, {}),
        ("mixed", OneOrTwo, {}),
        ("end", Tap, {"into": out}),
    )
    keys = [p.key for p in out]
    assert len(keys) == 15
    assert keys == sorted(set(keys))


def test_what_comes_at_the_end_has_a_key_of_its_own() -> None:
    ran = run_stage(AnswersAndHolds, {}, packets(numbers(2)))
    keys = [p.key for p in ran.packets]
    assert ran.values[-1] == Score(99)
    assert keys == sorted(set(keys))


def test_a_burst_of_wrong_answers_is_retried_singly() -> None:
    ran = run_stage(AtNothing, {}, packets(numbers(4)), burst=4)
    assert len(ran.packets) == 4
    assert ran.log.said("warning") == ["process_many failed, packets are taken singly"]


def test_an_async_generator_gives_several() -> None:
    ran = run_stage(Streams, {}, packets(numbers(2, first=1)))
    assert [v.value for v in ran.values] == [1, -1, 2, -2]


def test_an_output_that_refuses_packets_forgets_no_loss() -> None:
    """Also where several in a row are refused; a reason of its own may be called as ours."""
    three_odd = [Score(n) for n in (0, 1, 3, 5, 2)]
    ran = run_stage(RefusesOdd, {}, packets(three_odd))
    assert [m.body for m in ran.messages] == [b"0", b"3"]


def test_an_action_is_told_of_the_packets_it_refused() -> None:
    TellsLost.lost.clear()
    run_stage(TellsLost, {}, packets([Score(n) for n in (0, 1, 3, 2, 4)]))
    assert TellsLost.lost == [0, 2, 0]


def test_a_refused_packet_does_not_use_up_the_pace_of_an_output() -> None:
    ran = run_stage(RefusesOdd, {}, packets([Score(n) for n in (1, 2, 4)], rate_hz=10), every_s=10)
    assert [m.body for m in ran.messages] == [b"1"]


def test_a_stage_may_call_its_drops_what_a_link_calls_its_own(stepped_rig: Rig) -> None:
    stepped(stepped_rig, scripted(*numbers(4)), ("refuse", RefusesOdd, {}))


def test_ctrl_c_ends_a_stepped_run() -> None:
    """On the main thread it is the user's, not a fault of the stage that it struck."""
    with pytest.raises(KeyboardInterrupt):
        run_stage(Interrupts, {}, packets(numbers(1)))


def test_a_stage_that_raises_stopping_for_no_reason_has_a_fault() -> None:
    ran = run_stage(StopsForNoReason, {}, packets(numbers(2), rate_hz=0.1))
    assert ran.meters.faults == 2
    assert dict(ran.dropped) == {"fault": 2}


def test_retries_begin_with_the_shortest_wait_after_a_time_that_was_steady() -> None:
    """Not with the longest one that the trouble of last week had come to."""
    clock = FakeClock()
    GoneAfterAWhile.tries.clear()
    GoneAfterAWhile.until_ns = 10 * NS
    values = [Score(1.0)] * 500  # 25 s
    values[480] = Score(-1.0)
    ran = run_stage(GoneAfterAWhile, {}, packets(values, rate_hz=20), clock=clock)
    waits_s = [
        (later - earlier) / NS
        for earlier, later in zip(GoneAfterAWhile.tries, GoneAfterAWhile.tries[1:], strict=False)
    ]
    assert waits_s[5] > 0.75
    assert GoneAfterAWhile.tries[-1] - 24 * NS <= 0.3 * NS
    assert ran.meters.faults == 0


def test_a_source_that_cannot_be_closed_has_ended_all_the_same() -> None:
    """Its stream is not run again; and a device that is gone is no fault, closing it neither."""
    ClosesBadly.opened = 0
    ran = run_source(ClosesBadly, {}, epochs=9)
    assert [p.epoch for p in ran.packets] == [0, 1, 2, 3]
    assert ran.meters.faults == 0
    assert ran.log.said("warning").count("closing a stage failed") == 4


def test_a_source_that_has_run_for_all_its_epochs_has_no_fault() -> None:
    ClosesBadly.opened = -90
    ran = run_source(ClosesBadly, {}, epochs=2)
    assert (len(ran.packets), ran.meters.faults) == (2, 0)


# -- the divisor's gate -------------------------------------------------------------------------


def gate(divisor: int) -> Gate:
    dial = Dial(1, FakeClock())
    dial.want(Setting(0, divisor), lease_s=1e6)
    return Gate(dial)


def every_other(count: int) -> list[AnyPacket]:
    """As a link gives them that must let go every second one: all `seq` even, each after a loss."""
    return [p._replace(lost=1) for p in packets(numbers(2 * count)) if p.seq % 2]


@pytest.mark.parametrize("divisor", [1, 2, 3, 5])
@pytest.mark.parametrize("burst", [1, 7])
def test_a_gate_lets_one_in_so_many_through_whatever_their_numbers(
    divisor: int, burst: int
) -> None:
    one = gate(divisor)
    came = every_other(30)
    passed = [p for at in range(0, 30, burst) for p in one.passed(came[at : at + burst])]
    assert len(passed) == 30 // divisor
    assert [p.seq for p in passed] == [p.seq for p in came[::divisor]]


def test_what_is_shed_is_not_lost_but_what_was_lost_before_it_is_told() -> None:
    one = gate(3)
    passed = one.passed(every_other(31))
    assert sum(p.lost for p in passed) == 31
    assert passed[0].lost == 1


def test_a_gate_that_opens_does_not_wait_for_its_old_pace() -> None:
    dial = Dial(1, FakeClock())
    one = Gate(dial)
    dial.want(Setting(0, 10), lease_s=1e6)
    came = list(packets(numbers(6)))
    assert len(one.passed(came[:3])) == 1
    dial.want(Setting(0, 1), lease_s=1e6)
    assert one.passed(came[3:]) == came[3:]


@pytest.mark.parametrize("divisor", [1, 2])
def test_a_closed_gate_lets_none_through_and_opens_with_the_next(divisor: int) -> None:
    """What was lost before those that it shed is told by the first that it lets through."""
    dial = Dial(1, FakeClock())
    one = Gate(dial)
    came = every_other(9)
    dial.want(Setting(0, CLOSED), lease_s=1e6)
    assert one.passed(came[:3]) == []
    assert one.passed(came[3:5]) == []
    dial.want(Setting(0, divisor), lease_s=1e6)
    passed = one.passed(came[5:])
    assert [p.seq for p in passed] == [p.seq for p in came[5::divisor]]
    assert passed[0].lost == 6


def test_what_is_shed_lets_the_stages_behind_see_to_themselves(stepped_rig: Rig) -> None:
    """A model stage follows its dial also while its gate is closed."""
    out: list[Any] = []
    plan = chain(
        scripted(*numbers(3)),
        ("double", Double, {}),
        ("ask", Double, {}),
        ("end", Tap, {"into": out}),
    )
    stages = {**plan.stages, "double": replace(plan.stages["double"], gate_for="ask")}
    pipeline = Pipeline(replace(plan, stages=stages), stepped_rig.kit)
    dial = pipeline.dials["ask"] = Dial(1, stepped_rig.clock)
    dial.want(Setting(0, CLOSED), lease_s=1e6)
    idle: list[str] = []
    life = Life(pipeline.budget)
    lane = pipeline.lanes(life, cuts=False).of_source["source"]
    for slot in lane.slots():
        slot.idle = partial(idle.append, slot.id)  # type: ignore[method-assign]  # to look
    lane.push(list(packets(numbers(3))))
    assert idle == ["double", "ask", "end"]
    assert out == []
    meters = pipeline.meters["double"]
    assert (meters.taken, meters.shed) == (3, 3)


def test_shedding_is_counted_beside_the_rest(stepped_rig: Rig) -> None:
    out: list[Any] = []
    plan = chain(scripted(*numbers(10)), ("double", Double, {}), ("end", Tap, {"into": out}))
    stages = {**plan.stages, "double": replace(plan.stages["double"], gate_for="double")}
    pipeline = Pipeline(replace(plan, stages=stages), stepped_rig.kit)
    pipeline.dials["double"] = Dial(1, stepped_rig.clock)
    pipeline.dials["double"].want(Setting(0, 3), lease_s=1e6)
    run_stepped(pipeline)
    meters = pipeline.meters["double"]
    assert (meters.taken, meters.done, meters.shed) == (10, 4, 6)
    assert [p.lost for p in out] == [0, 0, 0, 0]


def test_a_fault_budget_is_one_for_all_threads_and_refills() -> None:
    clock = FakeClock()
    life = Life(FaultBudget(clock))
    assert [life.budget.spend() for _ in range(6)] == [True] * 5 + [False]
    clock.advance(61)
    assert life.budget.spend()
