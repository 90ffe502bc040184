"""Worlds small enough to be searched through."""

from dataclasses import replace

from edgeapp.core.clock import Clock
from edgeapp.simulation.policies import Fixed, Settings
from edgeapp.simulation.scenarios import room_25
from edgeapp.simulation.spec import Inputs, Node, PlantSpec, Power, Scenario
from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.tick import Decision, Reading, Work


def small(duration_s: float = 60.0, **changes: object) -> Scenario:
    """The room scenario for a shorter time."""
    return replace(room_25(1), duration_s=duration_s, **changes)  # type: ignore[arg-type] # a test's own


def two_rungs(ticks: int, *, foreign: float = 0.0, ambient_c: float = 40.0) -> Scenario:
    """One model of two rungs on a device of one node that is near its limit from the start."""
    plant = PlantSpec((Node("die", 20.0, 30.0, "ambient"),), Power(1.0, 2.0, 2), start_c=78.7)
    rungs = (Rung("large", 0.4, 1.0, 0.4), Rung("small", 0.1, 0.6, 0.1))
    tenant = Tenant("camera", (Ladder("camera", "model", rungs, 2.0, (1,)),))
    inputs = Inputs(((0.0, ambient_c),), ((0.0, 0.0), (ticks / 2.0, foreign)))
    return small(float(ticks), plant=plant, inputs=inputs, tenants=(tenant,))


def fixed(settings: Settings) -> object:
    """A policy for `run` that never changes."""
    return lambda _scenario, _clock: Fixed(settings)


class Script:
    """One choice of settings for each tick."""

    def __init__(self, decisions: list[Decision]) -> None:
        self._decisions = iter(decisions)

    def step(self, reading: Reading, work: Work) -> Decision:
        return next(self._decisions)


def script(decisions: list[Decision]) -> object:
    """A policy for `run` that follows a script."""

    def policy(_scenario: Scenario, _clock: Clock) -> Script:
        return Script(decisions)

    return policy
