"""A device in memory, with a pipeline on it that is governed: heat, load and dials, second by second."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sin
from pathlib import Path
from typing import Any

from edgeapp.config.device import DeviceConfig
from edgeapp.config.watchdog import WatchdogConfig
from edgeapp.core.clock import NS, FakeClock
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.service.governing.governing import Governing, MakeGovernor
from edgeapp.testing.stage import LogBook
from edgeapp.uplink.notices import GovernorNotice, SignalsNotice
from edgeapp.watchdog.costs import (
    VERSION,
    Costs,
    RungCosts,
    StageCosts,
    costs_file,
    this_device,
    write_costs,
)
from edgeapp.watchdog.governor import Governor
from edgeapp.watchdog.readings import Readings
from edgeapp.watchdog.signals.files import TreeFiles
from tests.runtime.rig import Rig

CPU_S = (0.030, 0.012, 0.004)
"""CPU time of an answer on each rung."""
RATE_HZ = 25.0
CORES = 4


def belt(folder: Path, models: Path, *, name: str = "belt", top: str = "") -> Plan:
    """A pipeline with three rungs."""
    listed = ", ".join(str(models / f"conveyor_{size}.onnx") for size in (256, 160, 96))
    file = folder / f"{name}.yaml"
    file.write_text(
        f"name: {name}\n{top}stages:\n"
        f"  belt: {{source: conveyor, rate_hz: {RATE_HZ}, size: [320, 180]}}\n"
        "  detect:\n    model: detector\n    layout: yolox\n    labels: [a, b, c]\n"
        f"    deadline_ms: 250\n    variants: [{listed}]\n"
        "  parts: {output: mqtt}\n"
    )
    device = DeviceConfig("d", folder, None, None)
    [plan] = load([file], device=device, open_models=False)
    return plan


def keep_costs(plan: Plan, data_dir: Path) -> None:
    """Write the costs of a `belt`, as `bench` would."""
    from edgeapp.service.recordings.replay import sha256_of

    def rung(cpu_s: float, **facts: Any) -> RungCosts:
        return RungCosts(100, cpu_s, cpu_s, cpu_s, **facts)

    detect = [
        rung(cpu_s, variant=v.name, sha256=sha256_of(v.file), memory_mb=20.0, accuracy=accuracy)
        for v, cpu_s, accuracy in zip(
            plan.stages["detect"].variants, CPU_S, (0.9, 0.8, 0.6), strict=True
        )
    ]
    stages = (
        StageCosts("belt", "conveyor", (rung(0.001),)),
        StageCosts("detect", "detector", tuple(detect)),
        StageCosts("parts", "mqtt", (rung(0.0001),)),
    )
    costs = Costs(VERSION, plan.name, "2026-01-01T00:00:00Z", this_device(), stages)
    write_costs(costs_file(data_dir, plan.name), costs)


@dataclass
class World:
    """A board in a housing: two nodes of heat, four cores, and pipelines that obey their dials."""

    folder: Path
    plans: list[Plan]
    config: WatchdogConfig = field(default_factory=WatchdogConfig)
    sensor: bool = True
    make: MakeGovernor = Governor

    def __post_init__(self) -> None:
        self.clock = FakeClock(1000 * NS)
        self.log = LogBook()
        rig = Rig(self.folder, clock=self.clock, log=self.log)
        self.pipelines = [Pipeline(plan, rig.kit) for plan in self.plans]
        for pipeline in self.pipelines:
            pipeline.state = "running"
        self.ambient_c = 22.0
        self.foreign = 0.0
        self.board_c = 55.0
        self.cpu_ns = 0
        self._ticks = [0, 0]
        self._answers = 0.0
        self.tree = TreeFiles({"/proc/meminfo": "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n"})
        if self.sensor:
            self.tree["/sys/class/thermal/thermal_zone0/type"] = "cpu-thermal\n"
        self._write(0.0)
        self.told: list[tuple[str, GovernorNotice | SignalsNotice]] = []
        self.governing = self.begin()

    def begin(self) -> Governing:
        """A governor that knows nothing yet."""
        return Governing(
            lambda: self.pipelines,
            self.config,
            self.folder,
            Readings(self.clock, files=self.tree, cores=CORES),
            cpu_ns=lambda _now_ns: self.cpu_ns,
            steer=steer,
            tell=lambda topic, notice: self.told.append((topic, notice)),
            log=self.log,
            clock=self.clock,
            cores=CORES,
            make=self.make,
        )

    def run(self, seconds: int, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.clock.advance(1)
            own = sum(self._work(pipeline) for pipeline in self.pipelines)
            busy = min(CORES, own + self.foreign)
            self.cpu_ns += round(own * NS)
            goal_c = self.ambient_c + 28 + 11 * busy
            self.board_c += (goal_c - self.board_c) / 120
            self._write(busy)
            self.governing.tick()
            each()

    def _work(self, pipeline: Pipeline) -> float:
        """Answer for a second as the dial says; the cores that it takes."""
        dial, meters = pipeline.dials["detect"], pipeline.meters
        if pipeline.held:
            return 0.0
        dial.actual = wanted = dial.wanted()
        meters["belt"].emitted += round(RATE_HZ)
        meters["detect"].taken += round(RATE_HZ)
        if not wanted.divisor:
            meters["detect"].shed += round(RATE_HZ)
            return 0.001 * RATE_HZ
        answers = round(RATE_HZ / wanted.divisor)
        cpu_ns = round(CPU_S[wanted.rung] * NS)
        model = meters["detect"]
        model.shed += round(RATE_HZ) - answers
        model.done += answers
        model.calls += answers
        model.cpu_ns += answers * cpu_ns
        model.wall_ns += answers * cpu_ns
        return 0.001 * RATE_HZ + answers * cpu_ns / NS

    def _write(self, busy: float) -> None:
        self.die_c = self.board_c + 2.7 * busy
        if self.sensor:
            trembling_c = 0.4 * sin(12.9898 * self.clock.now_ns() / NS)  # as any real one does
            path = "/sys/class/thermal/thermal_zone0/temp"
            self.tree[path] = f"{round((self.die_c + trembling_c) * 1000)}\n"
        self._ticks[0] += round(100 * busy)
        self._ticks[1] += round(100 * (CORES - busy))
        used, idle = self._ticks
        lines = [f"cpu  {used} 0 0 {idle} 0 0 0 0 0 0"]
        lines += [f"cpu{core} 0 0 0 0 0 0 0 0 0 0" for core in range(CORES)]
        self.tree["/proc/stat"] = "\n".join(lines) + "\n"

    # -- what was said ----------------------------------------------------------------------

    @property
    def states(self) -> list[GovernorNotice]:
        """The states that the broker was told of."""
        return [notice for _, notice in self.told if isinstance(notice, GovernorNotice)]

    @property
    def signals(self) -> list[SignalsNotice]:
        """The reports that the broker was told of."""
        return [notice for _, notice in self.told if isinstance(notice, SignalsNotice)]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The facts of each log line with that sentence."""
        return [facts for _, said, facts in self.log.events if said == event]


def steer(pipeline: Pipeline, pausing: bool) -> None:
    """As the event loop would do it."""
    if pausing:
        pipeline.pause("watchdog")
    else:
        pipeline.resume("watchdog")
