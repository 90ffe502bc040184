"""Playing a recording of samples as the device that made it would have given them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgeapp.api import Context, Emit, Signal, Unavailable, samples_ns
from edgeapp.sources._pace import RealTime
from edgeapp.sources.vibration_readers import Block, Recording, Samples


@dataclass(frozen=True, slots=True)
class Playback:
    """How to play."""

    name: str
    """The file, for errors."""
    recording: Recording
    block: int
    """Samples to pass on at a time."""
    real_time: bool
    """At the recording's own pace, or as fast as it is processed."""
    loop: bool

    def play(
        self, context: Context, emit: Emit[Signal], to_signal: Callable[[Samples], Signal]
    ) -> None:
        """Emit what `to_signal` makes of each block, to the end or for ever.

        Time is counted in samples from 0, through every round of a loop. An unusable block is left
        out and counted as lost; the first one is logged.

        Raises:
            Unavailable: the file is gone, or holds nothing that a loop could go on with.
        """
        if self.recording.problem:
            context.log.warning("recording is cut short", because=self.recording.problem)
        rate_hz = self.recording.rate_hz
        pace = RealTime(context) if self.real_time else None
        end = lost = 0
        for block in self._blocks(context):
            context.sleep(0)  # a stop is noticed between the blocks that go on, too
            end += block.count
            end_ns = samples_ns(end, rate_hz)
            if pace is not None:
                pace.wait_for(end_ns)
            if block.samples is None:
                lost += 1
                continue
            emit(
                to_signal(block.samples),
                t_ns=end_ns,
                span_ns=samples_ns(block.count, rate_hz),
                lost=lost,
            )
            lost = 0

    def _blocks(self, context: Context) -> Iterator[Block]:
        told = False
        while True:
            good = False
            try:
                with self.recording.open() as reader:
                    while (block := reader.read_block(self.block)) is not None:
                        good = good or block.samples is not None
                        if block.samples is None and not told:
                            context.log.warning("samples cannot be used", because=block.problem)
                            told = True
                        yield block
            except OSError as error:
                raise Unavailable(f"cannot read '{self.name}': {error}") from None
            if not self.loop:
                return
            if not good:
                raise Unavailable(f"'{self.name}' holds no usable block")
