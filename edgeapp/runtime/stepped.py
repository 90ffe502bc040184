"""Stepped mode: one thread, no links, no drops, and a clock that stream time drives.

The same input gives the same packets, messages and times, however fast or busy the machine is.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from edgeapp.core.clock import FakeClock
from edgeapp.core.link import AnyPacket
from edgeapp.runtime.kit import Life
from edgeapp.runtime.lane import Lane
from edgeapp.runtime.pipeline import Outcome, Pipeline


def run_stepped(pipeline: Pipeline) -> Outcome:
    """Run a pipeline to the end of its sources, one source after the other, on this thread.

    Actions run in place. The dials stay where they are put before.

    Raises:
        TypeError: the pipeline's kit has no FakeClock, which this mode drives.
    """
    clock = _clock_of(pipeline)
    life = Life(pipeline.budget)
    lanes = pipeline.lanes(life, cuts=False).of_source
    with opened(lanes.values(), life):
        for source in pipeline.plan.sources:
            lane = lanes[source.id]
            inlet = pipeline.inlet(source, life, _Step(lane, clock))
            try:
                inlet.run()
                lane.flush()
            finally:
                pipeline.epochs[source.id] = inlet.epoch + 1
    return _ended(pipeline, life)


def step_through(pipeline: Pipeline, packets: Iterable[AnyPacket]) -> Outcome:
    """Answer packets that its sources gave at another time, in the order given, on this thread.

    The sources themselves take no part. Epochs, numbers, times and losses are those of the packets.

    Raises:
        TypeError: the pipeline's kit has no FakeClock, which this mode drives.
    """
    clock = _clock_of(pipeline)
    life = Life(pipeline.budget)
    lanes = pipeline.lanes(life, cuts=False).of_source
    steps = {source: _Step(lane, clock) for source, lane in lanes.items()}
    with opened(lanes.values(), life):
        for packet in packets:
            if life.stopping.is_set():
                break
            meters = pipeline.meters[packet.origin]
            meters.taken += 1
            meters.done += 1
            meters.emitted += 1
            steps[packet.origin]([packet])
        for lane in lanes.values():
            lane.flush()
    return _ended(pipeline, life)


@contextmanager
def opened(lanes: Collection[Lane], life: Life) -> Iterator[None]:
    """All lanes at once: a sink that reads two sources sits in the lane of the first."""
    try:
        for lane in lanes:
            lane.open(life.stopping)
        yield
    finally:
        for lane in lanes:
            lane.close()


def _clock_of(pipeline: Pipeline) -> FakeClock:
    clock = pipeline.kit.clock
    if not isinstance(clock, FakeClock):
        raise TypeError("a stepped run needs a Kit with a FakeClock")
    return clock


def _ended(pipeline: Pipeline, life: Life) -> Outcome:
    ending = Outcome("finished") if life.failure is None else Outcome("failed", life.failure)
    pipeline.state, pipeline.why = ending.ending, ending.why
    return ending


class _Step:
    """Moves the clock to a packet's stream time, then lets the lane answer it."""

    def __init__(self, lane: Lane, clock: FakeClock) -> None:
        self._lane = lane
        self._clock = clock

    def __call__(self, burst: list[AnyPacket]) -> None:
        for packet in burst:
            self._clock.set_ns(packet.t_ns)
            self._lane.push([packet._replace(taken_ns=self._clock.now_ns())])
