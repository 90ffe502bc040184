"""A machine's speed, as somebody else measures it and publishes it."""

import json

from edgeapp.api import Arrived, Clock, Log, Watched

_MOST_BYTES = 64 * 1024
_SHOWN = 80
_FASTEST = 1e9


class SpeedTopic:
    """Reads the newest speed from a topic: a number, or a JSON object with one in it."""

    def __init__(
        self,
        watched: Watched,
        *,
        field: str | None,
        per_turn: float,
        max_age_ns: int,
        clock: Clock,
        log: Log,
    ) -> None:
        """Begin. `field`: of the object; None: the payload is the number itself.

        `per_turn`: what comes for one turn per minute.
        """
        self._watched = watched
        self._field = field
        self._per_turn = per_turn
        self._max_age_ns = max_age_ns
        self._clock = clock
        self._log = log
        self._seen: Arrived | None = None
        self._speed: tuple[float, int] | None = None
        self._malformed = 0

    def remember(self) -> tuple[float, int] | None:
        """The newest speed, and when it came."""
        return self._speed

    def recall(self, memory: tuple[float, int] | None) -> None:
        """Go by that until another one comes."""
        self._speed = memory

    def rpm(self) -> float | None:
        """Turns per minute, either way round; None: nobody has said so for too long."""
        newest = self._watched.latest()
        if newest is not None and newest is not self._seen:
            self._seen = newest
            try:
                self._speed = abs(self._read(newest.payload)) / self._per_turn, newest.at_ns
            except ValueError as error:
                self._complain(str(error), newest.payload)
        if self._speed is None or self._clock.now_ns() - self._speed[1] > self._max_age_ns:
            return None
        return self._speed[0]

    def _read(self, payload: bytes) -> float:
        """The number in it.

        Raises:
            ValueError: there is none; says what is wrong.
        """
        if len(payload) > _MOST_BYTES:
            raise ValueError(f"it is longer than {_MOST_BYTES:,} bytes")
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            raise ValueError("it is neither a number nor JSON") from None
        if self._field is not None:
            if not isinstance(value, dict) or self._field not in value:
                raise ValueError(f"it is no JSON object with a '{self._field}'")
            value = value[self._field]
        if type(value) not in {int, float} or not abs(value) < _FASTEST:
            raise ValueError("there is no number where the speed should be")
        return float(value)

    def _complain(self, problem: str, payload: bytes) -> None:
        self._malformed += 1
        if self._malformed & (self._malformed - 1) == 0:  # the 1st, 2nd, 4th, 8th...
            self._log.warning(
                "speed cannot be read",
                problem=problem,
                payload=payload[:_SHOWN].decode(errors="replace"),
                so_far=self._malformed,
            )
