"""What being watched costs: a look at the health each second, and a scrape, of both demo pipelines.

CPU time of one thread, so that a busy machine shows as little as can be. The pipelines stand still;
their counters are filled, so that every metric that this machine has is rendered.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.compare import Row
from edgeapp.config.device import read_device
from edgeapp.core.clock import MonotonicClock
from edgeapp.plan.load import load
from edgeapp.runtime.app import App
from edgeapp.runtime.kit import Kit
from edgeapp.service.monitoring.endpoints import Monitoring, with_machine
from edgeapp.service.monitoring.health import Health
from edgeapp.service.monitoring.health_told import HealthTold
from edgeapp.service.monitoring.metrics import render
from edgeapp.testing import RecordingUplink
from edgeapp.testing.stage import LogBook

REPO = Path(__file__).resolve().parents[1]
FILES = ("inspection_demo.yaml", "predictive_maintenance.yaml")
TIMES = 100
LOOK_MS = 5.0
LOOP_MS = 5.0
SCRAPE_SHARE = 0.03


def cpu_ms(call: Callable[[], object]) -> float:
    """CPU time of a call in the median, once it is warm."""
    call()
    found = []
    for _ in range(TIMES):
        began_ns = time.thread_time_ns()
        call()
        found.append((time.thread_time_ns() - began_ns) / 1e6)
    return statistics.median(found)


async def measured(folder: Path) -> list[Row]:
    """All of it."""
    clock = MonotonicClock()
    kit = Kit(clock, RecordingUplink(), None, LogBook(), folder)
    device = read_device(environment={"STATE_DIRECTORY": str(folder)})
    app = App(load([REPO / "pipelines" / name for name in FILES], device=device), kit)
    for pipeline in app.pipelines:
        for meters in pipeline.meters.values():
            for n in range(1, 1000):
                meters.age.record(n * 200_000)
            meters.drop("late", 3)
    health = Health(app)
    told = HealthTold(health, clock)
    monitoring = Monitoring(
        app, health, uplink=lambda: None, governor=lambda: None, data_dir=folder
    )
    look = cpu_ms(lambda: list(told.notices()))
    loop = cpu_ms(monitoring.facts)
    scrape = cpu_ms(lambda: render(with_machine(monitoring.facts(), folder)))
    text = render(with_machine(monitoring.facts(), folder))
    stages = sum(len(pipeline.plan.stages) for pipeline in app.pipelines)
    return [
        Row(
            "A look at the health, once a second",
            f"<= {LOOK_MS:g} ms",
            f"{look:.2f} ms",
            look <= LOOK_MS,
            f"{stages} stages",
        ),
        Row(
            "A scrape: time of the event loop",
            f"<= {LOOP_MS:g} ms",
            f"{loop:.2f} ms",
            loop <= LOOP_MS,
        ),
        Row(
            "A scrape each second: share of a core",
            f"<= {SCRAPE_SHARE:.0%}",
            f"{scrape / 1000:.2%}",
            scrape / 1000 <= SCRAPE_SHARE,
            f"{len(text) / 1000:.0f} kB, {text.count(b'edgeapp_') - 2 * text.count(b'# HELP')} series",
        ),
    ]


def rows() -> list[Row]:
    """For the acceptance table."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measured(Path(folder)))


if __name__ == "__main__":
    print(*rows(), sep="\n")
