"""The dial of a model stage: what the governor wants, what the stage does."""

from dataclasses import dataclass

from edgeapp.core.clock import Clock, ns

LEASE_S = 5.0
"""How long a wish of the governor holds. A governor that stalls leaves the floor behind."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A rung of the ladder and a rate divisor: one packet of `divisor` is answered."""

    rung: int
    divisor: int = 1


class Dial:
    """Written by the governor (`wanted`, from any thread), answered by the stage (`actual`).

    Without a governor (nothing ever wanted) the stage stays on its best rung. An expired lease
    means the floor: the last rung that has not been struck.
    """

    def __init__(self, rungs: int, clock: Clock, *, may_divide: bool = True) -> None:
        self.rungs = rungs
        self.may_divide = may_divide
        """False where skipping packets would break the model's own state."""
        self.actual = Setting(0)
        """What the stage does; written by the stage alone."""
        self.struck: frozenset[int] = frozenset()
        """Rungs that failed to load; written by the stage alone."""
        self._clock = clock
        self._wish: tuple[Setting, int] | None = None

    def want(self, setting: Setting, *, lease_s: float = LEASE_S) -> None:
        """Ask for a setting until `lease_s` from now.

        Raises:
            ValueError: no such rung, or a divisor that is not a whole number from 1 on.
        """
        if not 0 <= setting.rung < self.rungs:
            raise ValueError(f"rung {setting.rung} is not on a ladder of {self.rungs}")
        if setting.divisor < 1 or (setting.divisor > 1 and not self.may_divide):
            raise ValueError(f"divisor {setting.divisor} is not possible here")
        self._wish = (setting, self._clock.now_ns() + ns(lease_s))

    def wanted(self) -> Setting:
        """What the stage should do now."""
        wish = self._wish
        if wish is None:
            return Setting(0)
        setting, until_ns = wish
        if self._clock.now_ns() < until_ns:
            return setting
        usable = [rung for rung in range(self.rungs) if rung not in self.struck]
        return Setting(usable[-1] if usable else self.rungs - 1, setting.divisor)
