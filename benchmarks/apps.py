"""Running edgeapp inside a worker: plans from YAML text, no broker unless one is named."""

import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from edgeapp.config.device import read_device
from edgeapp.core.clock import MonotonicClock
from edgeapp.models.session import Pool
from edgeapp.plan.load import load
from edgeapp.runtime.app import App, run_until_stopped
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.status import PipelineStatus
from edgeapp.testing import RecordingUplink
from edgeapp.testing.stage import LogBook
from edgeapp.uplink.connection import Endpoint, Publication
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics

PARTS = Path(__file__).resolve().parent / "parts"
"""Plugins of the benchmarks: paced pictures, blocks of samples, a hog."""


class Device:
    """A device in a temporary folder, with a broker at `port` or an uplink that only keeps."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.log = LogBook()
        clock = MonotonicClock()
        self._mqtt = None if port is None else _uplink(port, self.log, clock)
        self.kit = Kit(
            clock=clock,
            uplink=self._mqtt or RecordingUplink(),
            pool=Pool(clock),
            log=self.log,
            data_dir=folder,
        )

    def app(self, texts: Sequence[str]) -> App:
        """An application of these pipelines."""
        files = []
        for number, text in enumerate(texts):
            file = self.folder / f"pipeline_{number}.yaml"
            file.write_text(text, encoding="utf-8")
            files.append(file)
        device = replace(read_device(None), data_dir=self.folder, plugins=PARTS)
        return App(load(files, device=device), self.kit)

    def run(self, texts: Sequence[str], *, for_s: float | None = None) -> list[PipelineStatus]:
        """Load and run pipelines."""
        return self.run_app(self.app(texts), for_s=for_s)

    def run_app(self, app: App, *, for_s: float | None = None) -> list[PipelineStatus]:
        """Run until the pipelines end or time is up; every packet must be accounted for."""
        uplink = asyncio.Event.wait if self._mqtt is None else self._mqtt.run
        asyncio.run(run_until_stopped(app, uplink, for_s=for_s))
        statuses = list(app.status())
        for status in statuses:
            if status.state == "failed" or status.unaccounted():
                raise RuntimeError(f"{status.name}: {status.why} {status.unaccounted()}")
        if self._mqtt is not None and self._mqtt.statistics().outbox.dropped:
            raise RuntimeError("messages were dropped")
        return statuses


def _uplink(port: int, log: LogBook, clock: MonotonicClock) -> MqttUplink:
    topics = Topics("bench")
    will = Publication(topics.status, b"offline", retain=True)
    return MqttUplink(
        topics,
        Sealer("bench", 1, WallClock(clock)),
        MemoryOutbox(),
        Connector(Endpoint("127.0.0.1", port), client_id="bench", will=will),
        log=log,
        clock=clock,
        chance=random.Random(1),
    )


class Meter:
    """CPU and wall time of a block, as one JSON line."""

    def __enter__(self) -> Self:
        """Begin."""
        self._cpu = time.process_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.cpu_s = time.process_time() - self._cpu
        self.wall_s = time.perf_counter() - self._wall

    def say(self, **facts: object) -> None:
        """Print the reading: a worker's last line."""
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        reading = {"cpu_s": self.cpu_s, "wall_s": self.wall_s, "rss_mb": rss_mb, **facts}
        sys.stdout.write(json.dumps(reading) + "\n")
        sys.stdout.flush()


def temporary() -> "tempfile.TemporaryDirectory[str]":
    """A folder for one worker; in memory where there is such a place, to leave out the disk."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="edgeapp-bench-", dir=place)
