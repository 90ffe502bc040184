"""A governor at work: each second it hears how device and pipelines are, and turns their dials."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgeapp.config.watchdog import WatchdogConfig
from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.dial import LEASE_S, Setting
from edgeapp.runtime.pipeline import WATCHDOG, Pipeline
from edgeapp.service.governing.signals import grounds_of, log_facts, physical, report
from edgeapp.service.governing.state import Told, Variants, decision_facts, notice_of
from edgeapp.service.governing.tenants import Hosted, hosted, tenant_of
from edgeapp.service.governing.workload import Workload
from edgeapp.uplink.notices import GovernorNotice, SignalsNotice
from edgeapp.watchdog.checks import floor_of
from edgeapp.watchdog.costs import costs_file
from edgeapp.watchdog.governor import Governor
from edgeapp.watchdog.ladder import StageKey, Tenant
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.readings import Readings
from edgeapp.watchdog.signals.values import Signal
from edgeapp.watchdog.tick import Binding, Decision, Reading

CORRECT_EVERY_S = 30.0
"""How often what the pipelines do is compared with what is believed of them."""
CORRECT_BEYOND = 0.25
"""By how much it must differ to be believed anew."""
_MEAN_S = 10.0

PHYSICAL: frozenset[Binding] = frozenset(
    {"heat_30s", "heat_300s", "power", "battery", "undervoltage", "sensors", "fault"}
)
"""What lowers also a pipeline whose costs nobody has measured."""

MakeGovernor = Callable[[Sequence[Tenant], Limits, Prior, Clock], Governor]
Steer = Callable[[Pipeline, bool], None]
"""Pauses a pipeline, or lets it run again. Any thread."""
Tell = Callable[[str, GovernorNotice | SignalsNotice], None]
"""Lets the broker keep a notice, under a topic. Any thread."""


class Governing:
    """One governor, from its first second to its last. One thread, which may wait for files."""

    def __init__(
        self,
        pipelines: Callable[[], Sequence[Pipeline]],
        config: WatchdogConfig,
        data_dir: Path,
        readings: Readings,
        *,
        cpu_ns: Callable[[int], int],
        steer: Steer,
        tell: Tell,
        log: Log,
        clock: Clock,
        cores: int | None = None,
        make: MakeGovernor = Governor,
    ) -> None:
        """Begin.

        `pipelines`: those that run now. `cpu_ns`: CPU time of this process at a monotonic time.
        `cores`: of the device, if not those that the system tells.
        """
        self._pipelines = pipelines
        self._config = config
        self._data_dir = data_dir
        self._readings = readings
        self._cpu_ns = cpu_ns
        self._steer = steer
        self._tell = tell
        self._log = log
        self._clock = clock
        self._make = make
        self._grounds = grounds_of(
            config,
            data_dir,
            cores=cores or os.cpu_count() or 1,
            model=readings.model,
            kernel_trip_c=readings.trip_c,
            log=log,
        )
        self._governor: Governor | None = None
        self._housed: tuple[Pipeline, ...] = ()
        self._hosts: dict[str, Hosted] = {}
        self._variants: Variants = {}
        self._costs_marks: dict[str, object] = {}
        self._believed: dict[str, Tenant] = {}
        self._workload = Workload()
        self._rates: dict[tuple[str, str], float] = {}
        self._calls: dict[StageKey, tuple[int, float]] = {}
        self._corrected_ns = clock.now_ns()
        self._reported: SignalsNotice | None = None
        self._signals: tuple[Signal, ...] = ()
        self._rehoused = True
        """Pipelines or their costs are others than those that were reported."""
        self._on_heat = False
        """Whether dials are turned without knowing what a variant costs."""
        self._applied: dict[StageKey, Setting] = {}
        self._paused: frozenset[str] = frozenset()
        self._infeasible = False
        self._sensor_there = True
        """The one that the device file names, if it does."""
        self._told = Told()
        self.state: GovernorNotice | None = None
        """What was decided last; read by any thread."""

    def tick(self) -> None:
        """Look, decide, and do what was decided. Once a second."""
        pipelines = tuple(self._pipelines())
        now_ns = self._clock.now_ns()
        if pipelines != self._housed:
            self._house(pipelines)
        work = self._workload.look(pipelines, self._hosts, self._cpu_ns(now_ns), now_ns)
        self._see()
        if now_ns - self._corrected_ns >= CORRECT_EVERY_S * NS:
            self._corrected_ns = now_ns
            self._correct(pipelines)
        reading = self._read()
        self._report()
        assert self._governor is not None
        self._apply(self._governor.step(reading, work), now_ns)

    def _house(self, pipelines: tuple[Pipeline, ...]) -> None:
        """Take in the pipelines that run now; those that ran before are known already."""
        first = self._governor is None
        known = {pipeline for pipeline in self._housed if pipeline in pipelines}
        for pipeline in pipelines:
            if pipeline not in known:
                self._host(pipeline)
                if first and WATCHDOG in pipeline.held_by:  # by a governor that is no more
                    self._steer(pipeline, False)
        names = [pipeline.plan.name for pipeline in pipelines]
        for name in self._hosts.keys() - set(names):
            del self._hosts[name], self._believed[name]
        self._housed, self._rehoused = pipelines, True
        self._variants = {
            (pipeline.plan.name, stage.id): tuple(variant.name for variant in stage.variants)
            for pipeline in pipelines
            for stage in pipeline.plan.stages.values()
            if stage.variants
        }
        kept = {pipeline.plan.name for pipeline in known}  # a new dial begins at the best
        self._rates = {key: hz for key, hz in self._rates.items() if key[0] in kept}
        self._calls = {key: call for key, call in self._calls.items() if key[0] in kept}
        before = {key: setting for key, setting in self._applied.items() if key[0] in kept}
        self._applied = {key: before.get(key, Setting(0)) for key in self._variants}
        self._believe(pipelines)

    def _host(self, pipeline: Pipeline) -> None:
        name = pipeline.plan.name
        self._costs_marks[name] = self._mark(name)
        self._hosts[name] = host = hosted(pipeline.plan, self._data_dir)
        self._believed[name] = host.tenant

    def _believe(self, pipelines: Sequence[Pipeline]) -> None:
        """Tell the governor what is believed of the pipelines, and the dials where the floor is."""
        tenants = [self._believed[pipeline.plan.name] for pipeline in pipelines]
        if self._governor is None:
            grounds = self._grounds
            self._governor = self._make(tenants, grounds.limits, grounds.prior, self._clock)
        else:
            self._governor.replace(tenants)
        for pipeline, tenant in zip(pipelines, tenants, strict=True):
            for ladder in tenant.ladders:
                pipeline.dials[ladder.stage].floor = floor_of(ladder)

    # -- what is learned at work -------------------------------------------------------------

    def _see(self) -> None:
        """Remember how fast sources are, and what calls take."""
        for key, rate_hz in self._workload.rates.items():
            before = self._rates.get(key, rate_hz)
            self._rates[key] = before + (rate_hz - before) / _MEAN_S
        for stage, (rung, call_s) in self._workload.calls.items():
            at, mean_s = self._calls.get(stage, (rung, call_s))
            step_s = (call_s - mean_s) / _MEAN_S if at == rung else call_s - mean_s
            self._calls[stage] = rung, mean_s + step_s

    def _correct(self, pipelines: Sequence[Pipeline]) -> None:
        """Believe what was seen, where it is far from what was believed; read costs that are new."""
        wrong = False
        for pipeline in pipelines:
            name = pipeline.plan.name
            if self._mark(name) != self._costs_marks[name]:
                self._host(pipeline)
                self._rehoused = wrong = True
            host, believed = self._hosts[name], self._believed[name]
            seen = tenant_of(
                host.plan,
                host.costs,
                rates={source: hz for (of, source), hz in self._rates.items() if of == name},
                seen={stage: call for (of, stage), call in self._calls.items() if of == name},
            )
            if _differ(believed, seen):
                self._believed[name] = seen
                wrong = True
        if wrong:
            self._believe(pipelines)

    def _mark(self, name: str) -> object:
        """Differs once the costs file of a pipeline does."""
        try:
            found = costs_file(self._data_dir, name).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _read(self) -> Reading:
        reading, named = self._readings.read(), self._config.sensor
        if named is None:
            return reading
        names = [one.name for one in reading.sensors]
        before, self._sensor_there = self._sensor_there, named in names
        if not self._sensor_there:
            if before:
                self._log.warning(
                    "the sensor of the device file is not there",
                    sensor=named,
                    there_are=", ".join(names) or "none",
                    instead="what sensors are called",
                )
            return reading
        sensors = tuple(
            replace(one, kind="die" if one.name == named else "board")
            if one.kind == "die" or one.name == named
            else one
            for one in reading.sensors
        )
        return replace(reading, sensors=sensors)

    def _report(self) -> None:
        """Say what there is to go on, at the start and when that has changed."""
        signals = self._readings.signals()
        if signals is self._signals and not self._rehoused:
            return
        self._signals, self._rehoused = signals, False
        # A sensor that is lost is a reason to be careful, not to let go.
        self._on_heat = self._on_heat or bool(physical(signals, self._grounds.limits))
        notice = report(self._grounds, signals, self._hosts.values())
        if notice != self._reported:
            self._reported = notice
            self._log.info(
                "watchdog watches", **log_facts(notice, self._hosts.values(), self._data_dir)
            )
            self._tell("governor/signals", notice)

    # -- what is done ------------------------------------------------------------------------

    def _apply(self, decision: Decision, now_ns: int) -> None:
        settings: dict[StageKey, Setting] = {}
        paused: set[str] = set()
        for pipeline in self._housed:
            host = self._hosts[pipeline.plan.name]
            governed = host.measured or self._on_heat
            for stage_id, dial in pipeline.dials.items():
                key = (pipeline.plan.name, stage_id)
                setting = Setting(0)
                if not governed:
                    dial.release()
                else:
                    setting = self._followed(host, key, decision)
                    dial.want(
                        setting,
                        lease_s=LEASE_S,
                        urgent=decision.urgent,
                        standby=decision.keep_standbys,
                    )
                settings[key] = setting
            pausing = (
                pipeline.plan.name in decision.paused
                and governed
                and (host.measured or decision.binding in PHYSICAL)
            )
            if pausing:
                paused.add(pipeline.plan.name)
            if pausing != (WATCHDOG in pipeline.held_by):
                self._steer(pipeline, pausing)
        done = decision
        if settings != decision.settings or paused != decision.paused:
            done = replace(decision, settings=settings, paused=frozenset(paused))
        self._say(done, now_ns)
        self._applied, self._paused = settings, done.paused

    def _followed(self, host: Hosted, key: StageKey, decision: Decision) -> Setting:
        """What a dial is set to: where costs are assumed, only heat and power can lower it."""
        before = self._applied[key]
        wanted = decision.settings.get(key, before)
        if host.measured or decision.binding in PHYSICAL:
            return wanted
        [ladder] = [one for one in host.tenant.ladders if one.key == key]
        return wanted if ladder.utility(wanted) >= ladder.utility(before) else before

    def _say(self, done: Decision, now_ns: int) -> None:
        """One log line for what changes; the broker's copy; and a copy for whoever asks."""
        self.state = notice = notice_of(done, self._variants)
        changed = done.settings != self._applied or done.paused != self._paused
        if changed or done.infeasible != self._infeasible:
            ill = done.level in {"serious", "critical"} or done.binding == "fault"
            log = self._log.warning if ill else self._log.info
            log("models chosen", **decision_facts(done, self._variants))
        self._infeasible = done.infeasible
        if self._told.is_news(notice, now_ns):
            self._tell("governor/state", notice)


def _differ(believed: Tenant, seen: Tenant) -> bool:
    """Whether what a pipeline costs is far from what was believed."""
    pairs = [(believed.base_cores, seen.base_cores)]
    for one, other in zip(believed.ladders, seen.ladders, strict=True):
        pairs += [(one.rungs[0].cpu_s, other.rungs[0].cpu_s), (one.rate_hz, other.rate_hz)]
    return any(abs(a - b) > CORRECT_BEYOND * max(a, b) for a, b in pairs)
