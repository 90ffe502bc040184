"""The dial of a model stage: what the governor wants, what the stage does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edgeapp.core.clock import Clock, ns

LEASE_S = 5.0
"""How long a wish of the governor holds. A governor that stalls leaves the floor behind."""
CLOSED = 0
"""The divisor of a gate that lets nothing through."""
FLOOR_DIVISOR = 4
"""What the floor divides by where the last wish was a closed gate."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A rung of the ladder and a rate divisor: one packet of `divisor` is answered.

    With the divisor 0 the gate is closed: all are shed, while devices and models stay open.
    """

    rung: int
    divisor: int = 1


class _Wish(NamedTuple):
    setting: Setting
    until_ns: int
    urgent: bool
    standby: bool


class _Pin(NamedTuple):
    setting: Setting
    until_ns: int | None
    force: bool


class Dial:
    """Written by the governor (`wanted`, from any thread), answered by the stage (`actual`).

    Without a governor (nothing ever wanted) the stage stays on its best rung. An expired lease
    means the floor. What a person pins goes before that, and before a wish that is not urgent.
    """

    def __init__(self, rungs: int, clock: Clock, *, may_divide: bool = True) -> None:
        self.rungs = rungs
        self.may_divide = may_divide
        """False where skipping packets would break the model's own state: 1 is the only divisor."""
        self.floor: int | None = None
        """The cheapest rung, where that is not the last one. Any thread."""
        self.actual = Setting(0)
        """What the stage does; written by the stage alone."""
        self.struck: frozenset[int] = frozenset()
        """Rungs that failed to load; written by the stage alone."""
        self.opening = False
        """Whether a rung is being loaded beside the one in use; written by the stage alone."""
        self._clock = clock
        self._wish: _Wish | None = None
        self._pin: _Pin | None = None

    def want(
        self,
        setting: Setting,
        *,
        lease_s: float = LEASE_S,
        urgent: bool = False,
        standby: bool = True,
    ) -> None:
        """Ask for a setting until `lease_s` from now.

        `urgent`: heat or current forbids to wait; only a forced pin goes before it. `standby`:
        whether there is memory for models that are loaded but not in use.

        Raises:
            ValueError: no such rung, or a divisor that is not possible here.
        """
        self._check(setting)
        until_ns = self._clock.now_ns() + ns(lease_s)
        self._wish = _Wish(setting, until_ns, urgent, standby)

    def release(self) -> None:
        """Forget what was wanted: nobody governs this stage, and it gives its best. Any thread."""
        self._wish = None

    def abandon(self) -> None:
        """The floor, also where nothing was ever wanted: whoever should govern cannot. Any thread."""
        if self._wish is None:
            self._wish = _Wish(Setting(0), self._clock.now_ns(), urgent=False, standby=True)

    def pin(self, setting: Setting, *, for_s: float | None = None, force: bool = False) -> None:
        """Hold a setting, whatever the governor wants: for so long, or until `unpin`. Any thread.

        An urgent wish goes before it, unless it is held by `force`.

        Raises:
            ValueError: as of `want`; or the gate would be closed, for which there is a pause.
        """
        self._check(setting)
        if setting.divisor == CLOSED:
            raise ValueError("divisor 0 cannot be held: pause the pipeline instead")
        until_ns = None if for_s is None else self._clock.now_ns() + ns(for_s)
        self._pin = _Pin(setting, until_ns, force)

    def follow(self, before: "Dial", rungs: Mapping[int, int]) -> None:
        """Go on as another dial was set. `rungs`: of its rungs, which ones here they are.

        A pin of a rung that there is none of any more is gone; what the governor wished then holds
        for the nearest one, until it wishes anew.
        """
        pin, wish, floor = before._pin, before._wish, before.floor  # noqa: SLF001  of its own kind
        if pin is not None and pin.setting.rung in rungs:
            self._pin = pin._replace(setting=self._fitting(pin.setting, rungs))
        if wish is not None:
            self._wish = wish._replace(setting=self._fitting(wish.setting, rungs))
        if floor is not None:
            self.floor = rungs.get(floor)

    def _fitting(self, setting: Setting, rungs: Mapping[int, int]) -> Setting:
        rung = rungs.get(setting.rung, min(setting.rung, self.rungs - 1))
        return Setting(rung, setting.divisor if self.may_divide else 1)

    def unpin(self) -> None:
        """Follow the governor again. Any thread."""
        self._pin = None

    @property
    def pinned(self) -> Setting | None:
        """What is held now by `pin`."""
        pin = self._held()
        return None if pin is None else pin.setting

    @property
    def standby(self) -> bool:
        """Whether models that are not in use may stay loaded, as was wished last."""
        wish = self._wish
        return wish is None or wish.standby

    def wanted(self) -> Setting:
        """What the stage should do now."""
        wish = self._wish
        pin = None if self._pin is None else self._held()
        if pin is not None and (wish is None or pin.force or not wish.urgent):
            return pin.setting
        if wish is None:
            return Setting(0)
        if self._clock.now_ns() < wish.until_ns:
            return wish.setting
        return Setting(self._floor(), wish.setting.divisor or FLOOR_DIVISOR)

    def _floor(self) -> int:
        floor = self.floor
        if floor is not None and floor not in self.struck:
            return floor
        usable = [rung for rung in range(self.rungs) if rung not in self.struck]
        return usable[-1] if usable else self.rungs - 1

    def _held(self) -> _Pin | None:
        pin = self._pin
        if pin is None or pin.until_ns is None or self._clock.now_ns() < pin.until_ns:
            return pin
        return None

    def _check(self, setting: Setting) -> None:
        if not 0 <= setting.rung < self.rungs:
            raise ValueError(f"rung {setting.rung} is not on a ladder of {self.rungs}")
        if setting.divisor < CLOSED or (setting.divisor != 1 and not self.may_divide):
            raise ValueError(f"divisor {setting.divisor} is not possible here")
