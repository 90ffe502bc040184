"""Each kind of stage stalls for real: a process under a socket that stands in for systemd."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.mosquitto import wait_until

pytestmark = pytest.mark.slow

LIMIT_S = 120.0
HANG_S = 4
"""Of every stage. On a busy machine one that does not stall may wait for a core for a second."""
WATCHDOG_S = 4.0

PLUGINS = '''\
"""Stages that stall once a file says so."""
import asyncio, ctypes, os, time
from pathlib import Path
from edgeapp.api import Context, Emit, Message, Options, Packet, Score, action, output, source, transform

class O(Options):
    """None."""

def stall(context):
    file = Path(os.environ["STALL"])
    if file.exists() and file.read_text() == context.id:
        file.with_suffix(".begun").touch()
        if context.id == "holds":
            ctypes.PyDLL(None).usleep(60_000_000)
        time.sleep(60)

@source("beats", live=True)
class Beats:
    """Now and then a score."""
    def __init__(self, options: O, context: Context) -> None:
        self.context = context
    def run(self, emit: Emit[Score]) -> None:
        while True:
            stall(self.context)
            emit(Score(1.0))
            self.context.sleep(0.05)

@transform("passes")
class Passes:
    """Passes on."""
    def __init__(self, options: O, context: Context) -> None:
        self.context = context
    def process(self, packet: Packet[Score], /) -> Score:
        stall(self.context)
        return packet.value

@transform("passes_async")
class PassesAsync:
    """Passes on, in a loop of its own."""
    def __init__(self, options: O, context: Context) -> None:
        self.context = context
    async def process(self, packet: Packet[Score], /) -> Score:
        stall(self.context)
        await asyncio.sleep(0)
        return packet.value

@action("acts")
class Acts:
    """Does nothing."""
    def __init__(self, options: O, context: Context) -> None:
        self.context = context
    def act(self, packet: Packet[Score], /) -> None:
        stall(self.context)

@output("says")
class Says:
    """Says nothing."""
    def __init__(self, options: O, context: Context) -> None:
        self.context = context
    def encode(self, packet: Packet[Score], /) -> Message | None:
        stall(self.context)
        return None
    def deliver(self, data: bytes, /) -> None: ...
'''
PIPELINE = f"""\
name: porch
stages:
  beats: {{source: beats, hang_s: {HANG_S}}}
  passes: {{transform: passes, hang_s: {HANG_S}}}
  loops: {{transform: passes_async, hang_s: {HANG_S}}}
  holds: {{transform: passes, hang_s: {HANG_S}}}
  acts: {{action: acts, hang_s: {HANG_S}}}
  says: {{output: says, from: holds, hang_s: {HANG_S}}}
"""


class Service:
    """A run, and what it tells the manager."""

    def __init__(self, folder: Path) -> None:
        (folder / "plugins").mkdir()
        (folder / "plugins" / "stalling.py").write_text(PLUGINS)
        (folder / "porch.yaml").write_text(PIPELINE)
        (folder / "edgeapp.yaml").write_text(
            f"data_dir: {folder}/data\nplugins: {folder}/plugins\nwatchdog: {{enabled: false}}\n"
        )
        self._stall = folder / "stall"
        self._log = folder / "log"
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "edgeapp", "run", str(folder / "porch.yaml")),
                    *("--device", str(folder / "edgeapp.yaml"), "--plain"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={
                    **os.environ,
                    "STALL": str(self._stall),
                    "NOTIFY_SOCKET": str(folder / "notify"),
                    "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6)),
                },
            )

    def until(self, word: str) -> None:
        """Wait until the manager hears this."""
        self._manager.settimeout(LIMIT_S)
        while word not in self._manager.recv(65_536).decode():
            pass

    def silent(self) -> bool:
        """Act as systemd does: whether nothing is heard for the limit."""
        self._manager.settimeout(WATCHDOG_S)
        for _ in range(100):
            try:
                self._manager.recv(65_536)
            except TimeoutError:
                return True
        return False

    def stall(self, stage: str) -> None:
        """Let a stage stall, and wait until it does."""
        draft = self._stall.with_suffix(".draft")
        draft.write_text(stage)
        draft.rename(self._stall)
        begun = self._stall.with_suffix(".begun")
        wait_until(begun.exists, f"{stage} stalls", patience_s=LIMIT_S)

    def log(self) -> str:
        """What it logged so far."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._manager.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    try:
        running.until("READY=1")
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("stage", ["beats", "passes", "loops", "acts", "says"])
def test_a_stage_that_stalls_is_named_with_all_stacks_and_then_the_trigger_comes(
    service: Service, stage: str
) -> None:
    service.stall(stage)
    service.until("WATCHDOG=trigger")
    log = service.log()
    assert re.search(rf"does not come back.* pipeline=porch stage={stage} for_s=\d", log), log
    stacks = log[log.index("does not come back") :]
    assert "in stall" in stacks
    assert re.search(r"thread=porch/\S+", stacks)
    assert "thread=MainThread" in stacks
    service.process.send_signal(signal.SIGABRT)  # as systemd does
    assert service.process.wait(LIMIT_S) == -signal.SIGABRT


def test_one_that_holds_the_interpreters_lock_falls_silent_and_leaves_its_stacks(
    service: Service,
) -> None:
    """Nothing of Python runs any more; the handler of SIGABRT still writes where all are."""
    service.stall("holds")
    assert service.silent()
    service.process.send_signal(signal.SIGABRT)
    assert service.process.wait(LIMIT_S) == -signal.SIGABRT
    log = service.log()
    assert "Fatal Python error: Aborted" in log
    assert re.search(r'File ".*stalling\.py", line \d+ in stall', log), log


def test_the_loop_that_stalls_is_told_of_with_names_before_the_limit(tmp_path: Path) -> None:
    """A thread sees it; the signs of life end by themselves."""
    script = tmp_path / "stalls.py"
    script.write_text(
        """\
import asyncio, sys, time
from pathlib import Path
from edgeapp.core.clock import MonotonicClock
from edgeapp.runtime.app import App, run_until_stopped
from edgeapp.runtime.kit import Kit
from edgeapp.service.systemd.heartbeat import Heartbeat
from edgeapp.service.logs import set_up
from edgeapp.service.systemd.notify import from_environment
from edgeapp.service.systemd.stacks import dump_on_crash
from edgeapp.testing import RecordingUplink

def hold_up():
    time.sleep(60)

async def beside(app):
    asyncio.get_running_loop().call_later(0.5, hold_up)
    await Heartbeat(app, from_environment(), lambda: "fine").run()

async def uplink(stop):
    await stop.wait()

dump_on_crash()
kit = Kit(MonotonicClock(), RecordingUplink(), None, set_up(), Path(sys.argv[1]))
asyncio.run(run_until_stopped(App([], kit, stays=True), uplink, beside=beside))
"""
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LIMIT_S)
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6)),
        }
        with subprocess.Popen(
            [sys.executable, str(script), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            while "READY=1" not in manager.recv(65_536).decode():
                pass
            assert process.stderr is not None
            lines: list[str] = []
            ends_s = time.monotonic() + LIMIT_S
            while not any("in hold_up" in line for line in lines):
                assert time.monotonic() < ends_s, lines
                lines.append(process.stderr.readline())
            process.send_signal(signal.SIGABRT)
            rest = process.stderr.read()
            assert process.wait(LIMIT_S) == -signal.SIGABRT
    said = "".join(lines)
    assert "the event loop does not turn" in said
    assert "thread=MainThread" in said
    assert "Fatal Python error: Aborted" in rest
