"""Zones that hold: what a value settles into, without fluttering at a boundary."""

from collections.abc import Sequence


class SteadyLevel:
    """The level that a value has settled into: how many of the rising `limits` it has reached.

    It rises once the value has been in higher levels for `rise_ns`, to the lowest of them, and
    falls once it has been in lower ones for `fall_ns`, to the highest of them; lower means below
    a limit by the fraction `slack`. So between two changes lies at least one of these times.
    """

    def __init__(
        self, limits: Sequence[float], *, slack: float = 0.0, rise_ns: int = 0, fall_ns: int = 0
    ) -> None:
        self._limits = limits
        self.hold(slack=slack, rise_ns=rise_ns, fall_ns=fall_ns)
        self.level: int | None = None
        """None until it has settled."""
        self._way = 0  # up or down, while the value is elsewhere
        self._since_ns = 0
        self._nearest = 0

    def hold(self, *, slack: float, rise_ns: int, fall_ns: int) -> None:
        """How hard it is to leave a level, from the next value on."""
        self._slack = slack
        self._hold_ns = {1: rise_ns, -1: fall_ns}

    def forget(self) -> None:
        """Begin anew."""
        self.level, self._way = None, 0

    def remember(self) -> tuple[int | None, int, int, int]:
        """Where it is, and where it is about to go."""
        return self.level, self._way, self._since_ns, self._nearest

    def recall(self, memory: tuple[int | None, int, int, int]) -> None:
        """Go on from there."""
        self.level, self._way, self._since_ns, self._nearest = memory

    def see(self, value: float, t_ns: int) -> bool:
        """Take the next value; whether the level changed. Times never go back."""
        now = self.level if self.level is not None else -1
        seen = sum(
            value >= (limit if at >= now else limit * (1 - self._slack))
            for at, limit in enumerate(self._limits)
        )
        way = (seen > now) - (seen < now)
        if way != self._way:
            self._way, self._since_ns, self._nearest = way, t_ns, seen
        if not way:
            return False
        self._nearest = min(self._nearest, seen) if way > 0 else max(self._nearest, seen)
        if t_ns - self._since_ns < self._hold_ns[way]:
            return False
        self.level, self._way = self._nearest, 0
        return True
