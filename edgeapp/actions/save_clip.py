"""Saving clips: what led up to something that was found, the thing itself, and what came after."""

from types import TracebackType
from typing import Any, Self

from edgeapp.actions._clip_options import LATE_S, MB, SaveClipOptions
from edgeapp.actions._clip_writer import ClipWriter, Recording, Room
from edgeapp.actions._numbered import NumberedFiles
from edgeapp.actions._ring import Ring, Shot
from edgeapp.api import (
    BadPacket,
    Context,
    Detections,
    Event,
    Image,
    Packet,
    Unavailable,
    action,
)
from edgeapp.core.clock import NS, ns
from edgeapp.core.opencv import cv2

_MOST_EVENTS = 256
"""Events that may last at the same time; the one heard of longest ago is forgotten first."""


@action("save_clip")
class SaveClip:
    """Save a video clip around what is found, from some seconds before until some after.

    Reads a camera and what finds something in its pictures, as in `from: [camera, people]`; or
    only the latter, and then clips have the pictures that were looked at. Detections with a box,
    and events from `new` to `end`, cause a clip; an event that says nothing for `max_s` counts as
    over. Times are those of capture, however late an answer comes (2 s at most). Files are MP4,
    numbered, and appear whole or not at all.
    """

    def __init__(self, options: SaveClipOptions, context: Context) -> None:
        self._options = options
        self._log = context.log
        self._stopping = context.stopping
        self._pre_ns, self._post_ns, self._max_ns = map(
            ns, (options.pre_s, options.post_s, options.max_s)
        )
        self._late_ns = ns(LATE_S)
        half = int(options.max_mb * MB / 2)
        self._ring = Ring(self._pre_ns + self._late_ns, half)
        self._files = NumberedFiles(options.folder, ".mp4", context)
        room = Room(options.folder, int(options.quota_mb * MB), int(options.keep_free_mb * MB))
        name = f"{context.pipeline}/{context.id}/clips"
        self._writer = ClipWriter(
            name, self._files, options.codec, room=room, max_bytes=half, log=context.log
        )
        self._names = {"pipeline": context.pipeline, "stage": context.id}
        self._told_short = False
        # The pictures:
        self._stream: tuple[str, int] | None = None  # their origin and epoch
        self._alone = False  # whether they come by themselves, and not with detections
        self._size = (0, 0)
        self._last_ns: int | None = None
        self._due_ns: int | None = None
        # What causes clips:
        self._caused_ns = 0  # the last cause
        self._events: dict[str, int] = {}  # that last, and the last word on each; oldest first
        # The clip that is open:
        self._recording: Recording | None = None
        self._from_ns = 0  # where it should begin
        self._began_ns = 0  # the first picture of its file
        self._given_ns: int | None = None  # the last picture given to the writer

    def __enter__(self) -> Self:
        """Find the clips that are there, clean up after a kill, start the writer.

        Raises:
            Unavailable: the folder cannot be made or read.
        """
        try:
            self._files.open()
        except OSError as error:
            problem = f"clips cannot be saved in '{self._options.folder}': {error.strerror}"
            raise Unavailable(problem) from error
        self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the clip that is open."""
        self._end()
        if not self._writer.close(self._stopping):
            self._log.warning("clips are left behind: the disk is too slow")
        while (problem := self._writer.problem()) is not None:
            self._log.warning("clip lost", problem=str(problem))

    def act(self, packet: Packet[Image | Detections | Event], /) -> None:
        """Keep a picture for a while; begin, prolong or end a clip.

        Raises:
            BadPacket: a clip could not be written, or there are no pictures for it.
        """
        value = packet.value
        if isinstance(value, Image):
            if not self._alone:
                self._alone = True
                self._only_these_pictures()
            self._take(packet, value)
        elif isinstance(value, Detections):
            if value.image is not None and not self._alone:
                self._take(packet, value.image)
            self._heed_detections(packet, value)
        else:
            self._heed_event(packet, value)
        self._advance()
        if (problem := self._writer.problem()) is not None:
            raise problem

    # -- pictures ---------------------------------------------------------------------------

    def _only_these_pictures(self) -> None:
        """Forget those that came with detections, until it was clear that there is a camera."""
        self._ring.clear()
        self._last_ns = self._due_ns = self._given_ns = None
        self._size = (0, 0)
        if self._recording is not None:
            self._writer.cancel(self._recording)
            self._recording = self._writer.begin(self._recording.about)

    def _take(self, packet: Packet[Any], image: Image) -> None:
        if self._is_of_past(packet):
            return
        self._stream = (packet.origin, packet.epoch)
        t_ns = packet.t_ns
        if self._last_ns is not None and t_ns <= self._last_ns:
            return
        if self._options.rate_hz:
            if self._due_ns is not None and t_ns < self._due_ns:
                return
            period_ns = ns(1 / self._options.rate_hz)
            due_ns = t_ns if self._due_ns is None else self._due_ns
            self._due_ns = due_ns + ((t_ns - due_ns) // period_ns + 1) * period_ns
        jpeg, size = _encoded(image, self._options.width, self._options.quality)
        if size != self._size:  # one file has pictures of one size
            self._end()
            self._ring.clear()
            self._size = size
        self._ring.add(Shot(t_ns, jpeg))
        self._last_ns = t_ns

    def _is_of_past(self, packet: Packet[Any]) -> bool:
        """Whether a packet is of an epoch that is over; a new epoch begins everything anew."""
        if self._stream is None or packet.origin != self._stream[0]:
            return False
        if packet.epoch > self._stream[1]:
            self._stream = (packet.origin, packet.epoch)
            self._end()
            self._events.clear()
            self._ring.clear()
            self._last_ns = self._due_ns = None
        return packet.epoch < self._stream[1]

    # -- causes -----------------------------------------------------------------------------

    def _heed_detections(self, packet: Packet[Any], found: Detections) -> None:
        for kind, score in zip(found.classes.tolist(), found.scores.tolist(), strict=True):
            label = found.labels[kind]
            if self._matters(label, score):
                if not self._is_of_past(packet):
                    about = {"label": label, "score": round(score, 4)}
                    self._cause(packet.t_ns, packet.t_ns, about)
                return

    def _heed_event(self, packet: Packet[Any], event: Event) -> None:
        lasts = event.event in self._events
        if not (lasts or self._matters(event.label, event.score)) or self._is_of_past(packet):
            return
        first_ns = event.began_ns if event.phase == "new" else packet.t_ns
        about: dict[str, object] = {"event": event.event, "kind": event.kind, "label": event.label}
        self._cause(min(first_ns, packet.t_ns), packet.t_ns, about)
        self._events.pop(event.event, None)
        if event.phase != "end":
            self._events[event.event] = packet.t_ns
            if len(self._events) > _MOST_EVENTS:
                del self._events[next(iter(self._events))]

    def _matters(self, label: str, score: float | None) -> bool:
        options = self._options
        return (not options.label or label in options.label) and (
            score is None or score >= options.min_score
        )

    def _cause(self, first_ns: int, last_ns: int, about: dict[str, object]) -> None:
        """Something that lasted from `first_ns` to `last_ns` is to be in a clip."""
        if self._recording is not None and first_ns - self._pre_ns > self._until_ns():
            self._end()
        self._caused_ns = last_ns if self._recording is None else max(self._caused_ns, last_ns)
        if self._recording is None:
            self._from_ns = first_ns - self._pre_ns
            self._recording = self._writer.begin({**self._names, **about, "t_ns": first_ns})
        elif self._last_ns is None and last_ns - self._from_ns > self._pre_ns + self._late_ns:
            raise BadPacket(
                "no pictures come for a clip: let it read the camera, too: from: [camera, ...]",
                reason="no_picture",
            )

    # -- the clip ---------------------------------------------------------------------------

    def _until_ns(self) -> int:
        """Where the clip ends, as far as is known."""
        until_ns = self._caused_ns + self._post_ns
        if self._events:
            until_ns = max(until_ns, max(self._events.values()) + self._max_ns)
        return until_ns

    def _advance(self) -> None:
        """Give the writer what belongs into the clip; end it once nothing can prolong it.

        A cause that comes late (by `LATE_S` at most) still finds the clip that it prolongs, or the
        pictures before it in the ring: so no picture is in two clips.
        """
        if self._recording is None:
            return
        until_ns = self._until_ns()
        if self._given_ns is None:
            shots = self._ring.since(self._from_ns)
            self._tell_short(shots)
        else:
            shots = self._ring.after(self._given_ns)
        for shot in shots:
            if shot.t_ns > until_ns:
                break
            if self._given_ns is None:
                self._began_ns = shot.t_ns
            elif shot.t_ns - self._began_ns >= self._max_ns:
                self._writer.end(self._recording)
                self._recording = self._writer.begin(self._recording.about)
                self._began_ns = shot.t_ns
            self._writer.add(self._recording, shot)
            self._given_ns = shot.t_ns
        if self._last_ns is not None and self._last_ns > until_ns + self._pre_ns + self._late_ns:
            self._end()
            self._events.clear()  # those that have said nothing for so long

    def _end(self) -> None:
        if self._recording is not None:
            self._writer.end(self._recording)
            self._recording = self._given_ns = None

    def _tell_short(self, shots: list[Shot]) -> None:
        if self._ring.spilled and shots and shots[0].t_ns > self._from_ns and not self._told_short:
            self._told_short = True
            self._log.warning(
                "max_mb is too small for pre_s: clips begin late",
                pre_s=self._options.pre_s,
                kept_s=round((shots[-1].t_ns - shots[0].t_ns) / NS, 1),
            )


def _encoded(image: Image, most_width: int | None, quality: int) -> tuple[bytes, tuple[int, int]]:
    """A picture as JPEG, its sides even, as H.264 wants them, and its size."""
    pixels: Any = image.pixels
    width, height = image.size
    if most_width is not None and width > most_width:
        height = max(2, round(height * most_width / width))
        pixels = cv2.resize(pixels, (most_width, height), interpolation=cv2.INTER_AREA)
        width = most_width
    width, height = width // 2 * 2, height // 2 * 2
    if not (width and height):
        raise BadPacket(f"a picture of {image.size} pixels is too small", reason="size")
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    written, jpeg = cv2.imencode(".jpg", pixels[:height, :width], parameters)
    if not written:
        raise BadPacket(f"a picture of {image.size} pixels cannot be a JPEG", reason="size")
    return jpeg.tobytes(), (width, height)
