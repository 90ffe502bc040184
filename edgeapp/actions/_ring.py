"""The newest pictures as JPEGs, in bounded memory."""

from collections import deque
from itertools import takewhile
from typing import NamedTuple


class Shot(NamedTuple):
    """A picture at an instant."""

    t_ns: int
    """Stream time of capture."""
    jpeg: bytes


class Ring:
    """The shots of the last `span_ns` of stream time, and the one before; never over `max_bytes`."""

    def __init__(self, span_ns: int, max_bytes: int) -> None:
        self._span_ns = span_ns
        self._max_bytes = max_bytes
        self._shots: deque[Shot] = deque()
        self._bytes = 0
        self.spilled = 0
        """Shots let go before their time, because there were too many bytes."""

    def __len__(self) -> int:
        """How many shots it holds."""
        return len(self._shots)

    @property
    def bytes(self) -> int:
        """Of the pictures it holds."""
        return self._bytes

    def add(self, shot: Shot) -> None:
        """Add a shot that is later than all before; let go of what is too old or too much."""
        shots = self._shots
        shots.append(shot)
        self._bytes += len(shot.jpeg)
        while len(shots) > 1 and shots[1].t_ns <= shot.t_ns - self._span_ns:
            self._pop()
        while self._bytes > self._max_bytes:
            self._pop()
            self.spilled += 1

    def since(self, t_ns: int) -> list[Shot]:
        """Those from `t_ns` on, oldest first, beginning with the newest one at or before it."""
        shots = list(self._shots)
        first = max((i for i, shot in enumerate(shots) if shot.t_ns <= t_ns), default=0)
        return shots[first:]

    def after(self, t_ns: int) -> list[Shot]:
        """Those later than `t_ns`, oldest first."""
        newer = takewhile(lambda shot: shot.t_ns > t_ns, reversed(self._shots))
        return list(newer)[::-1]

    def clear(self) -> None:
        """Forget everything."""
        self._shots.clear()
        self._bytes = self.spilled = 0

    def _pop(self) -> None:
        self._bytes -= len(self._shots.popleft().jpeg)
