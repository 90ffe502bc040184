"""kill -9 of the whole application, over and over: what settled arrives, under one id each."""

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

from edgeapp.uplink.outbox import PRIORITIES
from tests.faults.forks import Forks
from tests.pipelines.device import COMMAND
from tests.servers.mosquitto import PATIENCE_S, Listener, Mosquitto, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COMMANDS, FORKS = 50, 150
"""Kills of the true command, and of forks that run its entry point with all imported."""
LONGEST_S = 1.3
"""From the time when the start is counted to the end; every fifth dies earlier, or may do so."""

PIPELINE = """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 8000, block_s: 0.01, fault: inner}
  features: {transform: features}
  alarm: {output: mqtt, from: features, class: critical}
  trend: {output: mqtt, from: features}
"""
OUTPUTS = ("alarm", "trend")
ENVELOPE = {"id", "time", "clock", "age_ms", "replay", "boot", "up_ms"}
"""Fields that may differ when a message is sent again, but for its id."""

Row = dict[str, Any]


class Victim(Protocol):
    """A running application."""

    def freeze(self) -> None: ...

    def kill(self) -> None: ...


Start = Callable[[list[str], Path], Victim]


class Command:
    """`edgeapp`, as it is installed."""

    def __init__(self, arguments: list[str], out: Path) -> None:
        with out.open("ab") as said:
            self._process = subprocess.Popen([COMMAND, *arguments], stdout=said, stderr=said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        assert self._process.wait() == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.terminate()
        return self._process.wait(PATIENCE_S)


class Device:
    """A device whose application is killed, and its broker, which comes and goes."""

    def __init__(self, folder: Path, broker: Mosquitto, chance: random.Random) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.broker = broker
        self.chance = chance
        self.out = folder / "said.txt"
        (folder / "p.yaml").write_text(PIPELINE)
        (folder / "device.yaml").write_text(
            f"{{device: test, data_dir: data, mqtt: {{host: 127.0.0.1, port: {broker.port}}}}}"
        )
        self.arguments = ["run", f"{folder}/p.yaml", "--device", f"{folder}/device.yaml", "--json"]
        self.stored: set[str] = set()
        """Ids of what was in the store when the application died, of all its deaths."""
        self.runs: list[int] = []
        self.lives = 0

    def round(self, start: Start) -> None:
        """One life, from its start to its death."""
        self.lives += 1
        chance = self.chance
        if chance.random() < 0.5:
            self.toggle_broker()
        counted = self.counted()
        victim = start(self.arguments, self.out)
        try:
            if chance.random() < 0.8:
                wait_until(lambda: self.counted() > counted, f"a start is counted; see {self.out}")
            life_s = chance.uniform(0, LONGEST_S)
            if chance.random() < 0.3:  # in the midst of it
                before_s = chance.uniform(0, life_s)
                time.sleep(before_s)
                self.toggle_broker()
                life_s -= before_s
            time.sleep(life_s)
            victim.freeze()
            self.stored |= self.store()
        finally:
            victim.kill()
        self.runs.append(self.counted())

    def toggle_broker(self) -> None:
        if self.broker.running:
            self.broker.stop()
        else:
            self.broker.start()

    def counted(self) -> int:
        """The last run number; 0 before the first start came so far."""
        with suppress(FileNotFoundError):
            return int((self.folder / "data" / "run").read_text())
        return 0

    def store(self) -> set[str]:
        """Ids in the store: of a copy, so that nobody but the next start repairs it."""
        original, copy = self.folder / "data" / "outbox", self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        if not original.exists():
            return set()
        shutil.copytree(original, copy)
        found: set[str] = set()
        for file in copy.glob("*.db"):
            with closing(sqlite3.connect(file)) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    continue  # it was only just made
                for priority in PRIORITIES:
                    rows = database.execute(f"SELECT run, number FROM {priority}").fetchall()
                    found |= {f"test/{run}/{number}" for run, number in rows}
        return found


def die_often(device: Device, kills: int, start: Start) -> None:
    """Lives and deaths."""
    for _ in range(kills):
        device.round(start)


def test_kill_9(tmp_path: Path, system_program: Callable[[str, str], str]) -> None:
    """With a broker that comes and goes, at any instant from the first millisecond on."""
    mosquitto = system_program("mosquitto", "mosquitto")
    mosquitto_sub = system_program("mosquitto_sub", "mosquitto-clients")
    with ExitStack() as stack:
        devices, listeners = [], []
        for number, name in enumerate(("command", "forks")):
            folder = tmp_path / name
            folder.mkdir()
            broker = stack.enter_context(Mosquitto(mosquitto, folder))
            listeners.append(stack.enter_context(Listener(mosquitto_sub, broker.port, "edgeapp/#")))
            devices.append(Device(folder, broker, random.Random(number)))
        forks = stack.enter_context(Forks("app_to_kill.py"))

        def fork(arguments: list[str], out: Path) -> Forks:
            forks.start(arguments=arguments, out=str(out))
            return forks

        pool = stack.enter_context(ThreadPoolExecutor(2))
        dying = [
            pool.submit(die_often, devices[0], COMMANDS, Command),
            pool.submit(die_often, devices[1], FORKS, fork),
        ]
        for each in dying:
            each.result()
        for device, listener in zip(devices, listeners, strict=True):
            print(f"\n{device.folder.name}: {check(device, listener)}")
            assert len(device.stored) > device.lives


def check(device: Device, listener: Listener) -> str:
    """One more life sends what is left, and ends cleanly; then nothing may be missing."""
    if not device.broker.running:
        device.broker.start()
    arrivals = Arrivals()
    rest, waited = device.stored, 0
    with Command(device.arguments, device.out) as last:
        while waited < PATIENCE_S and (rest or arrivals.last_run() <= device.runs[-1]):
            time.sleep(1)
            arrivals.read(listener)
            before, rest = len(rest), rest - arrivals.contents.keys()
            waited = 0 if len(rest) < before else waited + 1
        assert not rest, f"{len(rest)} of {len(device.stored)} never came, such as {min(rest)}"
        assert last.stop() == 0
    arrivals.read(listener)
    assert device.runs == sorted(device.runs)
    for (run, output), seqs in arrivals.seqs.items():
        assert len(seqs) == max(seqs) + 1, f"run {run} has a hole in {output}"
    return (
        f"{device.lives} kills, {device.runs[-1]} runs, {len(arrivals.contents):,} messages of "
        f"which {len(device.stored):,} were in the store at a kill, 0 lost, "
        f"{arrivals.repeated:,} came again under the same id"
    )


class Arrivals:
    """What came to the broker: each id must stand for one message, and each message for one id."""

    def __init__(self) -> None:
        self.contents: dict[str, Row] = {}
        self.seqs: dict[tuple[str, str], set[int]] = defaultdict(set)
        """What came of each run and output."""
        self.repeated = 0
        self._ids: dict[tuple[Any, ...], str] = {}
        self._read = 0

    def read(self, listener: Listener) -> None:
        """Take in what came since."""
        new = listener.arrivals[self._read :]
        self._read += len(new)
        for arrival in new:
            output = arrival.topic.rpartition("/")[2]
            if output in OUTPUTS:
                self._take(output, json.loads(arrival.payload))

    def last_run(self) -> int:
        """The run that something came from last."""
        return max((int(run) for run, _ in self.seqs), default=0)

    def _take(self, output: str, said: Row) -> None:
        id_, time_s = said["id"], datetime.fromisoformat(said["time"]).timestamp()
        content = {name: value for name, value in said.items() if name not in ENVELOPE}
        run = id_.split("/")[1]
        known = self.contents.setdefault(id_, content | {"time_s": time_s})
        assert known == content | {"time_s": known["time_s"]}
        # The bearing repeats itself in every life; time does not.
        assert abs(known["time_s"] - time_s) < 0.05
        assert self._ids.setdefault((run, output, said["epoch"], said["seq"]), id_) == id_
        seqs = self.seqs[run, output]
        self.repeated += said["seq"] in seqs
        seqs.add(said["seq"])
