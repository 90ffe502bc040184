"""Two cameras at once: a thread for each, and which of their pictures belong together."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from threading import Condition, Event, Thread
from types import TracebackType
from typing import NamedTuple, Self

from edgeapp.api import Context, Image, Stopping, Unavailable
from edgeapp.sources._camera_options import CameraOptions
from edgeapp.sources.camera import Camera

DEPTH = 4
"""Pictures of a band that wait for those of the other."""
_LOOK_S = 0.1
"""How often to look for a stop while no picture comes."""
_TOO_MANY_ALONE = 30
"""After so many pictures in a row without a partner somebody is told."""


class Shot(NamedTuple):
    """A picture of one band."""

    image: Image
    t_ns: int
    lost: int
    """Pictures of this band since the last one that found a partner: lost, or without one."""


class Band:
    """The pictures of one band that wait for a partner, at most `DEPTH`. Guarded by `news`.

    `waits`: a file is read no further while there is no room; of a camera the newest stay.
    """

    def __init__(self, name: str, news: Condition, *, waits: bool) -> None:
        self.name = name
        self.waits = waits
        self.shots: deque[Shot] = deque()
        self.over = False
        """There will be no more."""
        self.error: Exception | None = None
        """Why there will be no more, where it is not the end of a file."""
        self.alone = 0
        """Pictures since the last one that found a partner."""
        self._news = news
        self._stopping = Event()

    @property
    def ended(self) -> bool:
        """Whether all that there was is used."""
        return self.over and not self.shots

    def put(
        self, image: Image, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
    ) -> None:
        """Take a picture from the camera: its `emit`. On the thread of the band.

        Raises:
            Stopping: nobody wants any more.
        """
        assert t_ns is not None  # cameras stamp their pictures
        with self._news:
            if self.waits:
                self._news.wait_for(lambda: len(self.shots) < DEPTH or self._stopping.is_set())
            if self._stopping.is_set():
                raise Stopping
            if len(self.shots) == DEPTH:
                self.pass_over()
            self.shots.append(Shot(image, t_ns, lost))
            self._news.notify_all()

    def pass_over(self) -> None:
        """Let the oldest picture go without a partner."""
        self.alone += 1 + self.shots.popleft().lost

    def take(self) -> Shot:
        """The oldest picture, with how many were alone before it."""
        shot = self.shots.popleft()
        shot = shot._replace(lost=self.alone + shot.lost)
        self.alone = 0
        return shot

    def read(self, options: CameraOptions, context: Context) -> None:
        """Run the camera until it ends or fails, or nobody wants any more. The band's thread."""
        error: Exception | None = None
        try:
            Camera(options, replace(context, stopping=self._stopping)).run(self.put)
            if not self.waits:
                error = Unavailable("gives no more pictures")
        except Stopping:
            pass
        except Exception as raised:  # noqa: BLE001 - told by whoever waits for the pictures
            error = raised
        with self._news:
            self.over, self.error = True, error
            self._news.notify_all()

    def stop(self) -> None:
        """Have `read` return soon."""
        with self._news:
            self._stopping.set()
            self._news.notify_all()


def matched(one: Band, other: Band, skew_ns: int) -> tuple[Shot, Shot] | None:
    """The next two pictures that belong together; None until more have come. Within `news`.

    That is the first two that are at most `skew_ns` apart, unless the earlier one is followed by
    one that fits better. Files are asked for that one; of cameras it has to be there already.
    """
    while one.shots and other.shots:
        early, late = (one, other) if one.shots[0].t_ns <= other.shots[0].t_ns else (other, one)
        at_ns = late.shots[0].t_ns
        gap_ns = at_ns - early.shots[0].t_ns
        if gap_ns <= skew_ns:
            if gap_ns and early.waits and len(early.shots) == 1 and not early.over:
                return None
            if len(early.shots) == 1 or abs(early.shots[1].t_ns - at_ns) >= gap_ns:
                return one.take(), other.take()
        early.pass_over()
    return None


class Pairs:
    """Pictures of two cameras, two by two. Enter it to start them, leave it to end them."""

    def __init__(
        self, cameras: Mapping[str, CameraOptions], context: Context, *, live: bool, skew_ns: int
    ) -> None:
        self._news = Condition()
        self._bands = [Band(name, self._news, waits=not live) for name in cameras]
        self._threads = [
            Thread(
                target=band.read,
                args=(cameras[band.name], context),
                name=f"{context.pipeline}/{context.id}/{band.name}",
                daemon=True,
            )
            for band in self._bands
        ]
        self._context = context
        self._skew_ns = skew_ns

    def __enter__(self) -> Self:
        """Start reading."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End reading. A camera that hangs holds us up, as it would alone."""
        for band in self._bands:
            band.stop()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[tuple[Shot, Shot]]:
        """Pairs, until a file ends; two cameras never end by themselves.

        Raises:
            Unavailable: a camera fails, or ends.
            Stopping: the pipeline stops.
        """
        one, other = self._bands
        told = False
        while True:
            with self._news:
                pair = matched(one, other, self._skew_ns)
                self._news.notify_all()  # there may be room now
                if pair is None:
                    if self._over():
                        return
                    self._news.wait(_LOOK_S)
            self._context.sleep(0)
            if pair is not None:
                yield pair
            elif not told and (alone := min(one.alone, other.alone)) > _TOO_MANY_ALONE:
                told = True
                self._context.log.warning(
                    "pictures of the two cameras are too far apart in time to belong together",
                    in_a_row=alone,
                    skew_ms=self._skew_ns / 1e6,
                )

    def _over(self) -> bool:
        """Whether no pair will come any more. Within `news`."""
        for band in self._bands:
            if isinstance(band.error, Unavailable):
                raise Unavailable(f"{band.name}: {band.error}")
            if band.error is not None:
                raise band.error
        one, other = self._bands
        if not (one.ended or other.ended):
            return False
        longer = other if one.ended else one
        if longer.shots:
            self._context.log.warning("one band has more pictures, left out", band=longer.name)
        return bool(longer.shots) or longer.over
