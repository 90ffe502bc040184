"""The course of a run, kept tick for tick, to be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeapp.core.dial import Setting
from edgeapp.simulation.player import Moment
from edgeapp.simulation.plot import Band, Chart
from edgeapp.simulation.replay import Replayed
from edgeapp.simulation.spec import SensorSpec
from edgeapp.watchdog.ladder import StageKey, Tenant

_AHEAD = 30
"""Ticks that a forecast looks ahead."""


@dataclass(slots=True)
class Series:
    """Columns of equal length; give it each moment of a run, or each tick of a replay."""

    t_s: list[float] = field(default_factory=list)
    die_c: list[float | None] = field(default_factory=list)
    told_c: list[float | None] = field(default_factory=list)
    """Die temperature that was forecast at this tick for 30 s later."""
    ambient_c: list[float | None] = field(default_factory=list)
    own_cores: list[float | None] = field(default_factory=list)
    foreign_cores: list[float | None] = field(default_factory=list)
    settings: dict[StageKey, list[Setting | None]] = field(default_factory=dict)

    def moment(self, moment: Moment) -> None:
        """Take a tick of a simulated device."""
        state, work = moment.state, moment.app.work
        self.t_s.append(state.t_s)
        self.die_c.append(next(iter(state.nodes_c.values())))
        self.told_c.append(moment.decision.forecast_30s_c)
        self.ambient_c.append(state.ambient_c)
        self.own_cores.append(work.own_cores)
        self.foreign_cores.append(max(0.0, moment.app.busy_cores - work.own_cores))
        for key, stage in work.stages.items():
            actual = None if key[0] in work.paused else stage.actual
            self.settings.setdefault(key, []).append(actual)

    def replayed(self, tick: Replayed) -> None:
        """Take a tick of a recording: its heat and load, and what would have been chosen."""
        self.t_s.append(tick.t_s)
        self.die_c.append(tick.die_c)
        self.told_c.append(tick.decision.forecast_30s_c)
        self.ambient_c.append(None)
        self.own_cores.append(tick.own_cores)
        busy = tick.reading.busy_cores
        self.foreign_cores.append(None if busy is None else max(0.0, busy - tick.own_cores))
        for key, setting in tick.decision.settings.items():
            wanted = None if key[0] in tick.decision.paused else setting
            self.settings.setdefault(key, []).append(wanted)

    def chart(
        self,
        title: str,
        note: str,
        *,
        trip_c: float,
        cores: float,
        tenants: Sequence[Tenant],
        sensors: Sequence[SensorSpec] = (),
    ) -> Chart:
        """All of it, to be drawn."""
        ladders = [ladder for tenant in tenants for ladder in tenant.ladders]
        single = {tenant.name for tenant in tenants if len(tenant.ladders) == 1}
        bands = tuple(
            Band(
                ladder.pipeline if ladder.pipeline in single else " ".join(ladder.key),
                tuple(rung.variant for rung in ladder.rungs),
                self.settings[ladder.key],
            )
            for ladder in ladders
            if ladder.key in self.settings
        )
        forecast: list[float | None] = [None] * min(_AHEAD, len(self.t_s))
        return Chart(
            title,
            note,
            self.t_s,
            self.die_c,
            (forecast + self.told_c)[: len(self.t_s)],
            self.ambient_c,
            trip_c,
            self.own_cores,
            self.foreign_cores,
            cores,
            bands,
            tuple(
                (fault.from_s, fault.to_s, fault.kind)
                for sensor in sensors
                for fault in sensor.faults
            ),
        )
