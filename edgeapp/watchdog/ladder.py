"""What can be chosen: the rungs of each model stage, and the pipelines that they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeapp.core.dial import Setting

DIVISORS = (1, 2, 4)
"""Rates that are tried for a stage that may leave packets out: all, every other one, one in four."""
RATE_EXPONENT = 0.3
"""How much the rate of answers counts: half of them are worth 0.5 ** 0.3 = 0.81 of all."""
CLOSED = 0
"""The divisor of a gate that lets nothing through: the devices stay open, nothing is answered."""

StageKey = tuple[str, str]
"""Names of a pipeline and of a model stage in it."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One variant of a model, with what it costs on this device."""

    variant: str
    cpu_s: float
    """CPU time of one answer at the full clock: the model and the stages that its gate spares."""
    accuracy: float
    """How good its answers are, 0..1."""
    wall_s: float = 0.0
    """Wall time of the model's own call when nothing disturbs it (99th percentile)."""
    memory_mb: float = 0.0
    """What a loaded session takes, in MB of 10^6 bytes."""
    call_cpu_s: float | None = None
    """CPU time of the model's own call alone: what is measured later is compared with it. None:
    `cpu_s` stands for it."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """A model stage as the governor sees it."""

    pipeline: str
    stage: str
    rungs: tuple[Rung, ...]
    """Best first; at least one."""
    rate_hz: float
    """Packets that arrive each second, before any is left out; what was measured goes before it."""
    divisors: tuple[int, ...] = DIVISORS
    """Rising, the first is 1; (1,) where leaving packets out would break the model's state."""
    deadline_s: float | None = None
    """How old an answer may be."""

    @property
    def key(self) -> StageKey:
        """What it is called."""
        return self.pipeline, self.stage

    @property
    def may_divide(self) -> bool:
        """Whether packets may be left out, be it some or, with its gate closed, all of them."""
        return self.divisors != (1,)

    def utility(self, setting: Setting) -> float:
        """What the answers of a setting are worth, 0..1; 1 is the best rung at full rate."""
        if setting.divisor == CLOSED:
            return 0.0
        best = max(rung.accuracy for rung in self.rungs)
        worth = self.rungs[setting.rung].accuracy / best if best > 0 else 1.0
        return float(worth * setting.divisor**-RATE_EXPONENT)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A pipeline as the governor sees it."""

    name: str
    ladders: tuple[Ladder, ...]
    weight: float = 1.0
    """How much its answers count beside those of the others."""
    critical: bool = False
    """It is never paused and its gates never close, whatever the heat."""
    base_cores: float = 0.0
    """Cores in use whatever the dials say, such as for taking pictures; 0 only while paused."""


class LadderError(ValueError):
    """Ladders, limits or priors make no sense; a sentence for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
