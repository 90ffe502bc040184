"""How many packets are to be expected: what arrives, without forgetting what may come back."""

from collections.abc import Iterable, Mapping

from edgeapp.watchdog.ladder import StageKey, Tenant
from edgeapp.watchdog.tick import Work

RISE_S = 3.0
"""Time constant of what arrives: one packet more in a second is no higher rate."""
HALF_LIFE_S = 60.0
"""In which half of the way down to a lower rate is believed."""
SILENT_SHARE = 0.05
"""Of what is expected; less than that is taken for silence."""
STEADY = 0.03
"""Share by which what arrives may tremble about what is expected."""


class Rates:
    """Packets to be expected each second of every model stage.

    What arrives goes before what the ladder says, from the first packet on. A higher rate is
    believed within seconds, a lower one within minutes. Silence changes nothing: a camera that is
    away comes back, and a gate that is shut by a still scene opens, with all their packets at
    once; if their stages seemed free until then, they would be found on their dearest rungs.
    """

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._expected: dict[StageKey, float] = {}
        self._arriving: dict[StageKey, float] = {}
        self._t_s: float | None = None
        self.replace(tenants)

    @property
    def values(self) -> Mapping[StageKey, float]:
        """Packets per second of each stage."""
        return self._expected

    def replace(self, tenants: Iterable[Tenant]) -> None:
        """Follow these tenants from now on; what is known of those that stay is kept."""
        ladders = [ladder for tenant in tenants for ladder in tenant.ladders]
        self._expected = {x.key: self._expected.get(x.key, x.rate_hz) for x in ladders}
        self._arriving = {x.key: self._arriving[x.key] for x in ladders if x.key in self._arriving}

    def observe(self, t_s: float, work: Work) -> None:
        """Take in what arrived up to `t_s` (monotonic), each tick."""
        passed_s = 1.0 if self._t_s is None else max(t_s - self._t_s, 0.0)
        self._t_s = t_s
        for key, expected in self._expected.items():
            stage = work.stages.get(key)
            if stage is None or not 0 < stage.rate_hz < float("inf"):
                continue
            first = key not in self._arriving
            before = stage.rate_hz if first else self._arriving[key]
            weight = min(passed_s / RISE_S, 1.0)
            arriving = before + weight * (stage.rate_hz - before)
            self._arriving[key] = arriving
            if first or arriving > expected * (1 + STEADY):
                self._expected[key] = arriving
            elif SILENT_SHARE * expected < arriving < expected * (1 - STEADY):
                kept = 0.5 ** (passed_s / HALF_LIFE_S)
                self._expected[key] = arriving + (expected - arriving) * kept
