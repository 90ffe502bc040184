"""Live options: applied between two packets, on the stage's thread, and kept."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, ClassVar

from edgeapp.api import Context, Emit, Field, Live, Options, Packet, Score, source, transform
from edgeapp.plan.graph import Plan
from edgeapp.plan.tuning import tuned
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.supervise import supervise
from edgeapp.testing import Pause, Script, Scripted
from tests.runtime.parts import NoOptions, Tap, numbers
from tests.runtime.rig import Rig, all_threads_end, chain


class AddOptions(Options):
    more: Annotated[float, Live()] = Field(0.0, description="What is added.")
    breaks_at: float = Field(-1.0, description="At this number it raises.")
    refuses: float = Field(-1.0, description="It raises when it is tuned to this.")


@transform("add")
class Add:
    """Adds, and keeps how often it was built and on which threads it was tuned."""

    built: ClassVar[int] = 0
    tuned_on: ClassVar[list[str]] = []

    def __init__(self, options: AddOptions, context: Context) -> None:
        self.options = options
        type(self).built += 1

    def tune(self, options: AddOptions) -> None:
        self.tuned_on.append(threading.current_thread().name)
        if options.more == options.refuses:
            raise ZeroDivisionError("scripted")
        self.options = options

    def process(self, packet: Packet[Score]) -> Score:
        if packet.value.value == self.options.breaks_at:
            raise ZeroDivisionError("scripted")
        return Score(packet.value.value + self.options.more)


@source("until", live=False)
class Until:
    """Gives 2000 numbers, and a thousand more once the test has tuned: most often while they come."""

    tuned: ClassVar[threading.Event] = threading.Event()

    def __init__(self, options: NoOptions, context: Context) -> None:
        self.tuned.clear()

    def run(self, emit: Emit[Score], /) -> None:
        for value in numbers(2000):
            emit(value)
        assert self.tuned.wait(60)
        for value in numbers(1000, 2000):
            emit(value)


def tune(pipeline: Pipeline, value: str) -> None:
    pipeline.tune(tuned(pipeline.plan.stages["add"], "more", value))


class Flow:
    """A pipeline that adds; numbers come when the test gives them."""

    def __init__(self, rig: Rig, **options: float) -> None:
        self.rig = rig
        self.out: list[Any] = []
        Add.built, Add.tuned_on = 0, []
        self.more = threading.Event()
        script = Script(*numbers(5), Pause(3600), *numbers(5, 5), Pause(3600), *numbers(5, 10))
        self.plan: Plan = chain(
            ("source", Scripted, {"script": script, "live": True}),
            ("add", Add, options),
            ("tap", Tap, {"into": self.out}),
        )

    @property
    def values(self) -> list[float]:
        return [packet.value.value for packet in self.out]

    def run(self, script: Callable[[Pipeline], Awaitable[None]]) -> Pipeline:
        async def main() -> Pipeline:
            pipeline, stop = Pipeline(self.plan, self.rig.kit), asyncio.Event()
            running = asyncio.ensure_future(supervise(pipeline, stop))
            try:
                async with asyncio.timeout(60):
                    await script(pipeline)
            finally:
                stop.set()
                await running
            return pipeline

        pipeline = asyncio.run(main())
        all_threads_end()
        return pipeline

    async def until(self, count: int) -> None:
        while len(self.out) < count:
            await asyncio.sleep(0.001)


async def again(pipeline: Pipeline) -> None:
    """The next numbers come with the next run."""
    pipeline.pause()
    pipeline.resume()


def test_it_is_applied_before_the_next_packet_on_the_thread_of_the_stage(rig: Rig) -> None:
    out: list[Any] = []
    Add.tuned_on = []
    plan = chain(("until", Until, {}), ("add", Add, {}), ("tap", Tap, {"into": out}))

    async def during(pipeline: Pipeline, _stop: asyncio.Event) -> None:
        while pipeline.meters["add"].done < 100:
            await asyncio.sleep(0)
        tune(pipeline, "10000")
        Until.tuned.set()

    rig.run(plan, during)
    values = [packet.value.value for packet in out]
    first = next(n for n, value in enumerate(values) if value >= 10_000)
    assert values == [*range(first), *range(10_000 + first, 13_000)]
    assert Add.tuned_on == ["test/until/source"]


def test_packets_after_that_pay_nothing_for_it(rig: Rig) -> None:
    """The slot is as it was before: no flag is asked for each packet."""
    flow = Flow(rig)

    async def script(pipeline: Pipeline) -> None:
        await flow.until(5)
        tune(pipeline, "1")
        slot = pipeline.slots["add"]
        assert "handle" in vars(slot)
        slot.handle([])
        assert "handle" not in vars(slot)

    flow.run(script)


def test_a_stage_that_is_rebuilt_after_a_fault_keeps_it(rig: Rig) -> None:
    flow = Flow(rig, breaks_at=7)

    async def script(pipeline: Pipeline) -> None:
        await flow.until(5)
        tune(pipeline, "100")
        await again(pipeline)
        await flow.until(9)

    flow.run(script)
    assert flow.values == [0, 1, 2, 3, 4, 105, 106, 108, 109]
    assert Add.built == 3  # of two runs, and after the fault


def test_a_pipeline_that_is_paused_and_resumed_keeps_it(rig: Rig) -> None:
    flow = Flow(rig)

    async def script(pipeline: Pipeline) -> None:
        await flow.until(5)
        pipeline.pause()
        while pipeline.state != "paused":
            await asyncio.sleep(0.001)
        tune(pipeline, "50")
        tune(pipeline, "100")
        pipeline.resume()
        await flow.until(10)

    flow.run(script)
    assert flow.values == [0, 1, 2, 3, 4, 105, 106, 107, 108, 109]


def test_a_stage_that_raises_then_is_built_with_the_new_value(rig: Rig) -> None:
    """That is its fault, and counted as one; no packet is lost by it."""
    out: list[Any] = []
    plan = chain(
        ("until", Until, {}),
        ("add", Add, {"refuses": 10_000}),
        ("tap", Tap, {"into": out}),
    )

    async def during(pipeline: Pipeline, _stop: asyncio.Event) -> None:
        while pipeline.meters["add"].done < 100:
            await asyncio.sleep(0)
        tune(pipeline, "10000")
        Until.tuned.set()

    _, status = rig.run(plan, during)
    values = [packet.value.value for packet in out]
    first = next(n for n, value in enumerate(values) if value >= 10_000)
    assert values == [*range(first), *range(10_000 + first, 13_000)]
    assert status.stages[1].faults == 1
    assert status.stages[1].dropped == {}
