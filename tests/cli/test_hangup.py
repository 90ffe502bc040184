"""SIGHUP reloads a process; but one whose terminal went away stops, as whoever ran it expects."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.mosquitto import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PUMP = """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 8000}
  features: {transform: features}
"""


class InTerminal:
    """`edgeapp run` in a terminal of its own, which can be closed."""

    def __init__(self, folder: Path, *before: str) -> None:
        (folder / "pump.yaml").write_text(PUMP)
        (folder / "device.yaml").write_text(f"device: test\ndata_dir: {folder}/data\n")
        self._errors = (folder / "errors.txt").open("w+")
        self._terminal, inside = pty.openpty()

        def take() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it
            os.setsid()
            fcntl.ioctl(inside, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "edgeapp", "run", folder / "pump.yaml", "--plain",
             "--device", folder / "device.yaml"],
            stdin=inside,
            stdout=self._errors,
            stderr=self._errors,
            preexec_fn=take,  # noqa: PLW1509  it only makes system calls
        )  # fmt: skip
        os.close(inside)
        wait_until(self._listens, "it to listen to SIGHUP")

    def _listens(self) -> bool:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return bool(caught >> (signal.SIGHUP - 1) & 1)

    def log(self) -> str:
        return Path(self._errors.name).read_text()

    def close_terminal(self) -> None:
        """As when its window is closed: the kernel sends SIGHUP."""
        os.close(self._terminal)
        self._terminal = -1

    def end(self) -> None:
        if self._terminal >= 0:
            self.close_terminal()
        self.process.kill()
        self.process.wait()
        self._errors.close()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[InTerminal]:
    """It, running."""
    found = InTerminal(tmp_path)
    yield found
    found.end()


def test_it_is_reloaded_while_its_terminal_is_there_and_stops_when_that_goes(
    terminal: InTerminal,
) -> None:
    os.kill(terminal.process.pid, signal.SIGHUP)
    wait_until(lambda: "reloaded" in terminal.log(), "a reload")
    assert terminal.process.poll() is None
    terminal.close_terminal()
    assert terminal.process.wait(30) == 0
    assert "pump stopped" in terminal.log()
    assert "Traceback" not in terminal.log()


def test_started_by_nohup_it_outlives_its_terminal(tmp_path: Path) -> None:
    terminal = InTerminal(tmp_path, "nohup")
    try:
        terminal.close_terminal()

        def reloaded() -> bool:  # the first signal may be taken for that of the terminal
            terminal.process.send_signal(signal.SIGHUP)
            return "reloaded" in terminal.log()

        wait_until(reloaded, "a reload")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(30) == 0
    finally:
        terminal.end()
