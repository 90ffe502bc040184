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
    means the floor: the last rung that has not been struck. What a person pins goes before all.
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
        self._pin: tuple[Setting, int | None] | None = None

    def want(self, setting: Setting, *, lease_s: float = LEASE_S) -> None:
        """Ask for a setting until `lease_s` from now.

        Raises:
            ValueError: no such rung, or a divisor that is not a whole number from 1 on.
        """
        self._check(setting)
        self._wish = (setting, self._clock.now_ns() + ns(lease_s))

    def pin(self, setting: Setting, *, for_s: float | None = None) -> None:
        """Hold a setting, whatever the governor wants: for so long, or until `unpin`. Any thread.

        Raises:
            ValueError: as of `want`.
        """
        self._check(setting)
        until_ns = None if for_s is None else self._clock.now_ns() + ns(for_s)
        self._pin = (setting, until_ns)

    def unpin(self) -> None:
        """Follow the governor again. Any thread."""
        self._pin = None

    @property
    def pinned(self) -> Setting | None:
        """What is held now by `pin`."""
        pin = self._pin
        if pin is None:
            return None
        setting, until_ns = pin
        return setting if until_ns is None or self._clock.now_ns() < until_ns else None

    def _check(self, setting: Setting) -> None:
        if not 0 <= setting.rung < self.rungs:
            raise ValueError(f"rung {setting.rung} is not on a ladder of {self.rungs}")
        if setting.divisor < 1 or (setting.divisor > 1 and not self.may_divide):
            raise ValueError(f"divisor {setting.divisor} is not possible here")

    def wanted(self) -> Setting:
        """What the stage should do now."""
        if self._pin is not None and (pinned := self.pinned) is not None:
            return pinned
        wish = self._wish
        if wish is None:
            return Setting(0)
        setting, until_ns = wish
        if self._clock.now_ns() < until_ns:
            return setting
        usable = [rung for rung in range(self.rungs) if rung not in self.struck]
        return Setting(usable[-1] if usable else self.rungs - 1, setting.divisor)
