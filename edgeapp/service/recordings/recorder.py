"""Records what the sources of a running pipeline give, beside it: the pipeline does not wait.

It takes packets where the lanes do, behind a live source's link: what is recorded is what the
pipeline saw, losses included. A thread of its own makes them small and writes them.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.link import AnyPacket
from edgeapp.core.payload import Payload
from edgeapp.plan.graph import Plan
from edgeapp.runtime.kit import Kit, Life
from edgeapp.runtime.lane import Lanes
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.service.recordings.recording import Ending, RecordingWriter

MOST_WAITING_BYTES = 64 << 20
"""What may wait for the disk. Files then wait; what a live source gives on top is missing."""
_SYNC_NS = 2 * NS
"""A power cut costs at most so much of a recording."""

Redact = Callable[[Payload], Payload]


class Recorder:
    """Takes packets from the lanes' threads, and writes them on its own, between enter and exit.

    A source that is not live waits for the disk, so that nothing of it is ever missing.
    """

    def __init__(
        self,
        writer: RecordingWriter,
        plan: Plan,
        *,
        clock: Clock,
        log: Log,
        redact: Mapping[str, Redact],
        over: Callable[[], None],
    ) -> None:
        """Prepare.

        `redact`: by id of a source, what takes away what must not be stored.
        `over`: called once, on the recorder's thread, when nothing more will be recorded.
        """
        self.packets = 0
        self.missing: Counter[str] = Counter()
        """By source: packets that came too fast to be written."""
        self.full = False
        """It has reached its greatest size."""
        self.problem: str | None = None
        """Why nothing more could be written."""
        self.finished = False
        self._writer = writer
        self._live = {source.id: source.live for source in plan.sources}
        self._clock = clock
        self._log = log
        self._redact = redact
        self._tell_over = over
        self._changed = threading.Condition()
        self._queue: deque[tuple[AnyPacket, int, int]] = deque()
        self._waiting_bytes = 0
        self._owed: Counter[str] = Counter()  # missing, not yet said by the next packet
        self._over = False
        self._closed = False
        self._thread = threading.Thread(
            target=self._work, name=f"{plan.name}/recorder", daemon=True
        )

    def __enter__(self) -> Self:
        """Start to write."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits, and close the file. Without `finish` it stays a draft."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._writer.__exit__(kind, error, trace)

    def finish(self, why: str) -> None:
        """Write what waits, and the end: the recording is whole then. After the pipeline's end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if self.problem is None:
            ending = Ending(self.packets, "full" if self.full else why, dict(self.missing))
            try:
                self._writer.finish(ending)
            except OSError as error:
                self.problem = f"the end cannot be written: {error.strerror}"
            else:
                self.finished = True

    def take(self, packet: AnyPacket) -> None:
        """Record a packet of a source. Any thread."""
        size = _bytes_of(packet.value)
        source = packet.origin
        with self._changed:
            if not self._live[source]:
                while self._is_crowded(size) and not self._over:
                    self._changed.wait()
            if self._over:
                return
            if self._is_crowded(size):
                self.missing[source] += 1
                self._owed[source] += 1
                return
            self._queue.append((packet, size, self._owed.pop(source, 0)))
            self._waiting_bytes += size
            self._changed.notify_all()

    def _is_crowded(self, size: int) -> bool:
        return bool(self._queue) and self._waiting_bytes + size > MOST_WAITING_BYTES

    def _work(self) -> None:
        try:
            self._write_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing unmasked gets written
            said = error.strerror if isinstance(error, OSError) else str(error)
            self.problem = said or repr(error)
            self._log.error("recording ended", problem=self.problem)
        finally:
            with self._changed:
                over, self._over = self._over, True
                ended_early = not self._closed or self.full or self.problem is not None
                self._queue.clear()
                self._changed.notify_all()
            if ended_early and not over:
                self._tell_over()

    def _write_all(self) -> None:
        synced_ns = self._clock.now_ns()
        while (item := self._next()) is not None:
            packet, _, missing = item
            redact = self._redact.get(packet.origin)
            if redact is not None:
                packet = packet._replace(value=redact(packet.value))
            if not self._writer.add(packet, missing=missing):
                self.full = True
                return
            self.packets = self._writer.packets
            if self._clock.now_ns() - synced_ns > _SYNC_NS:
                self._writer.sync()
                synced_ns = self._clock.now_ns()

    def _next(self) -> tuple[AnyPacket, int, int] | None:
        with self._changed:
            while not self._queue:
                if self._closed:
                    return None
                self._changed.wait()
            item = self._queue.popleft()
            self._waiting_bytes -= item[1]
            self._changed.notify_all()
            return item


class RecordedPipeline(Pipeline):
    """A pipeline whose lanes show every packet of a source to a recorder, before anyone else."""

    def __init__(self, plan: Plan, kit: Kit, recorder: Recorder) -> None:
        super().__init__(plan, kit)
        self._recorder = recorder

    def lanes(self, life: Life, *, cuts: bool) -> Lanes:
        """The stages in fresh slots, and before those behind a source, the recorder."""
        lanes = super().lanes(life, cuts=cuts)
        for lane in lanes.of_source.values():
            roots: list[Any] = lane.roots  # an ear is all that a node is to its lane
            roots.insert(0, _Ear(self._recorder))
        return lanes


class _Ear:
    """Stands where a stage would, and hands on nothing."""

    def __init__(self, recorder: Recorder) -> None:
        self._take = recorder.take

    def push(self, burst: list[AnyPacket]) -> None:
        """Show a burst to the recorder."""
        for packet in burst:
            self._take(packet)

    def flush(self) -> None:
        """Nothing is held here."""


def _bytes_of(value: Any) -> int:
    """About how much memory a payload holds."""
    size = 256
    for name in getattr(type(value), "__dataclass_fields__", ()):
        part = getattr(value, name)
        if isinstance(part, np.ndarray):
            size += part.nbytes
        elif isinstance(part, Payload):
            size += _bytes_of(part)
    return size
