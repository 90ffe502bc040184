"""Stepped mode: one thread, no links, no drops, and a clock that stream time drives.

The same input gives the same packets, messages and times, however fast or busy the machine is.
"""

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
    clock = pipeline.kit.clock
    if not isinstance(clock, FakeClock):
        raise TypeError("a stepped run needs a Kit with a FakeClock")
    life = Life(pipeline.budget)
    lanes = pipeline.lanes(life, cuts=False)
    for source in pipeline.plan.sources:
        lane = lanes.of_source[source.id]
        inlet = pipeline.inlet(source, life, _Step(lane, clock))
        lane.open(life.stopping)
        try:
            inlet.run()
            lane.flush()
        finally:
            lane.close()
            pipeline.epochs[source.id] = inlet.epoch + 1
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
