"""Parts for swaps under load: pictures as fast as the benchmark says, and answers kept."""

from functools import cache
from itertools import count, islice
from typing import Any, ClassVar

from edgeapp.api import Context, Emit, Image, Message, Options, Packet, output, source

PICTURES = 24
"""How many different ones there are; each comes with every `PICTURES`-th number."""
_BEHIND_NS = 50_000_000  # what is made good of a sleep that was too long
_APART = 7  # of those that a scene draws, so that the bottles move


@cache
def pictures() -> list[Image]:
    """Pictures of the conveyor, the same each time."""
    from edgeapp.sources._conveyor_scene import scene

    drawn = islice(scene(3, faulty=0.5), 0, PICTURES * _APART, _APART)
    return [Image(pixels) for pixels, _ in drawn]


class NoOptions(Options):
    """None."""


@source("swap_pictures", live=True)
class Pictures:
    """Emit a few pictures again and again."""

    period_s: ClassVar[float] = 0.1
    """Between two pictures, from the next one on; written by the benchmark."""

    def __init__(self, _options: NoOptions, context: Context) -> None:
        self._context = context

    def run(self, emit: Emit[Image]) -> None:
        """Emit until the end."""
        images, clock = pictures(), self._context.clock
        due_ns = clock.now_ns()
        for number in count():
            due_ns = max(due_ns + round(Pictures.period_s * 1e9), clock.now_ns() - _BEHIND_NS)
            self._context.sleep((due_ns - clock.now_ns()) / 1e9)
            emit(images[number % PICTURES])


@output("swap_answers")
class Answers:
    """Keep every packet, and when it came."""

    kept: ClassVar[list[tuple[int, Packet[Any]]]] = []
    """Monotonic ns and packet, in the order in which they came."""

    def __init__(self, _options: NoOptions, context: Context) -> None:
        self._clock = context.clock

    def encode(self, packet: Packet[Any]) -> Message | None:
        """Keep it."""
        Answers.kept.append((self._clock.now_ns(), packet))
        return None
