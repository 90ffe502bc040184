"""What a governor costs: the choice for eight pipelines, and all of it once a second.

CPU time of this process alone, so that a busy machine shows as little as can be. The device's files
are those of a Raspberry Pi 4, on a disk: read, unlike those of a kernel, by opening each time.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import TypeVar

from benchmarks.compare import Row
from edgeapp.core.clock import Clock, FakeClock
from edgeapp.core.dial import Setting
from edgeapp.simulation.contest import governed
from edgeapp.simulation.player import play
from edgeapp.simulation.scenarios import burst_storm, cool_idle
from edgeapp.simulation.spec import Scenario
from edgeapp.watchdog.allocation import allocate
from edgeapp.watchdog.governor import Governor
from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.options import options_of
from edgeapp.watchdog.readings import Readings
from edgeapp.watchdog.tick import Decision, Reading, StageWork, Work
from tests.watchdog.trees import LINUX, PI_4, Folder

BOUND_MS = 20.0
BOUND_SHARE = 0.001
PIPELINES, RUNGS, INSTANCES = 8, 6, 100
PRICE = 0.02
SEED = 101
READS = 600

T = TypeVar("T")


class Meter:
    """CPU time of calls, each apart."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    def __call__(self, call: Callable[[], T]) -> T:
        """Call it, and remember how long it took."""
        began_ns = time.thread_time_ns()
        try:
            return call()
        finally:
            self.ms.append((time.thread_time_ns() - began_ns) / 1e6)

    @property
    def mean_ms(self) -> float:
        """Of a call."""
        return statistics.mean(self.ms)


class Timed:
    """A governor whose steps are measured."""

    def __init__(self, governor: Governor, meter: Meter) -> None:
        self._governor = governor
        self._meter = meter

    def step(self, reading: Reading, work: Work) -> Decision:
        """What the governor decides."""
        return self._meter(lambda: self._governor.step(reading, work))


def pipelines(draw: random.Random) -> tuple[list[Tenant], Work]:
    """Pipelines of one model each, and what they do."""
    tenants, doing = [], {}
    for at in range(PIPELINES):
        top_s, steep = draw.uniform(0.02, 0.09), draw.uniform(0.45, 0.7)
        rungs = tuple(
            Rung(
                f"v{level}",
                cpu_s=top_s * steep**level,
                accuracy=0.55 * (1 - 0.07 * level * draw.uniform(0.5, 1.5)),
                wall_s=top_s * steep**level,
                memory_mb=60 * 0.75**level,
            )
            for level in range(RUNGS)
        )
        ladder = Ladder(f"p{at}", "detect", rungs, draw.uniform(5, 15), deadline_s=0.5)
        tenants.append(Tenant(f"p{at}", (ladder,), draw.choice([1.0, 2.0]), base_cores=0.02))
        doing[ladder.key] = StageWork(ladder.rate_hz, Setting(draw.randrange(RUNGS)))
    return tenants, Work(1.0, doing)


def choosing() -> list[tuple[str, Meter, str]]:
    """The choice among all options of eight pipelines, cores scarce, and memory too."""
    free, tight, exact, most = Meter(), Meter(), 0, 0
    for seed in range(INSTANCES):
        draw = random.Random(seed)
        tenants, work = pipelines(draw)
        groups = [options_of(tenant, work, rates={}) for tenant in tenants]
        most = max(most, *map(len, groups))
        cores, share = draw.uniform(0.3, 3.0), draw.uniform(0.2, 0.9)
        roomy = allocate(groups, cores=inf).memory_mb
        for meter, memory_mb in ((free, None), (tight, share * roomy)):
            found = meter(
                lambda g=groups, c=cores, m=memory_mb: allocate(  # type: ignore[misc]  # bound now
                    g, cores=c, memory_mb=m, price=PRICE
                )
            )
            exact += found.exact
    what = f"{exact} of {2 * INSTANCES} exact, <= {most} options each"
    return [("cores", free, what), ("cores and memory", tight, what)]


def steps(scenario_of: Callable[[int], Scenario]) -> Meter:
    """Steps of a governor in a simulated world."""
    meter = Meter()

    def policy_of(scenario: Scenario, clock: Clock) -> Timed:
        return Timed(governed(scenario, clock), meter)

    play(scenario_of(SEED), policy_of, lambda _moment: None)
    return meter


def reads() -> Meter:
    """Readings of all that a Raspberry Pi 4 tells of itself, probed again once a minute."""
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for device in (LINUX, PI_4):
            render(device, root)
        clock = FakeClock()
        readings = Readings(clock, sysfs_root=root / "sys", proc_root=root / "proc")
        for _ in range(READS):
            clock.advance(1.0)
            meter(readings.read)
    return meter


def render(device: Folder, folder: Path) -> None:
    """Write the files of a device."""
    for name, what in device.items():
        path = folder / name
        if isinstance(what, Mapping):
            path.mkdir(parents=True, exist_ok=True)
            render(what, path)
        elif not isinstance(what, OSError):
            path.write_text(f"{what}\n", encoding="utf-8")


def rows() -> list[Row]:
    """Measure."""
    made = []
    for scarce, meter, what in choosing():
        median_ms = statistics.median(meter.ms)
        made.append(
            Row(
                f"choice: {PIPELINES} x {RUNGS} rungs x 3 rates, {scarce} scarce",
                f"<= {BOUND_MS:.0f} ms",
                f"{median_ms:.2f} ms",
                median_ms <= BOUND_MS,
                f"median of {len(meter.ms)}; worst {max(meter.ms):.1f} ms; {what}",
            )
        )
    read_ms = reads().mean_ms
    for scenario_of in (cool_idle, burst_storm):
        meter = steps(scenario_of)
        share = (meter.mean_ms + read_ms) / 1000
        made.append(
            Row(
                f"governor at 1 Hz, share of a core: {scenario_of.__name__}",
                f"<= {BOUND_SHARE:.1%}",
                f"{share:.3%}",
                share <= BOUND_SHARE,
                f"step {meter.mean_ms:.3f} ms (worst {max(meter.ms):.1f}), "
                f"readings {read_ms:.3f} ms",
            )
        )
    return made


if __name__ == "__main__":
    sys.stdout.writelines(f"{row}\n" for row in rows())
