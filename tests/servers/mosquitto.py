"""A real broker to test with, and an independent client that listens to it."""

import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.contract import SUITE

PATIENCE_S = 60.0
_FIRST_PORT = 15_000
"""Below are those of services that machines have."""
_GIVEN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now.

    Nor is it among those that connections get: it stays free while a server on it is not there.
    """
    chance = random.SystemRandom()  # other test runs look for theirs
    end = int(_GIVEN_PORTS.read_text().split()[0])
    while True:
        port = chance.randrange(_FIRST_PORT, end) if end > 2 * _FIRST_PORT else 0
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found


def wait_until(true: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Wait for something that another process does.

    Raises:
        TimeoutError: it did not happen; says what.
    """
    until_s = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > until_s:
            raise TimeoutError(f"not within {patience_s:.0f} s: {what}")
        time.sleep(0.01)


class Mosquitto:
    """mosquitto on a free port of the loopback, with sessions that outlive a restart."""

    def __init__(self, program: str, folder: Path, *more_config: str) -> None:
        self.port = free_port()
        self._program = program
        self._config = folder / "mosquitto.conf"
        access = () if more_config else ("allow_anonymous true",)
        lines = (
            f"listener {self.port} 127.0.0.1",
            "user root",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            *access,
            *more_config,
        )
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, "mosquitto listens")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop; by SIGTERM it keeps its sessions and what they have not got yet."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._process is not None

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                return True
        except OSError:
            return False


class Arrival(NamedTuple):
    """What mosquitto_sub printed of one message."""

    retained: bool
    topic: str
    payload: str
    again: bool
    """The broker delivers it once more, as it may when it was restarted: not the sender's doing."""


class Listener:
    """mosquitto_sub with a session that outlives the broker's restart."""

    def __init__(self, program: str, port: int, *topics: str, client_id: str = "listener") -> None:
        self.arrivals: list[Arrival] = []
        filters = [part for topic in topics for part in ("-t", topic)]
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", program, "-p", str(port), "-q", "1", "-i", client_id, "-c", "-d", *filters,
             "-F", "=> %r %t %p"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",  # of what is no text
        )  # fmt: skip
        self._subscribed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if not self._subscribed.wait(PATIENCE_S):
            self._process.kill()
            raise TimeoutError(f"not within {PATIENCE_S:.0f} s: mosquitto_sub has subscribed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def payloads(self, topic: str) -> list[str]:
        """What came to a topic, in order."""
        return [a.payload for a in list(self.arrivals) if a.topic == topic]

    def wait_for(self, topic: str, payload: str) -> None:
        """Wait until a payload has come to a topic."""
        wait_until(lambda: payload in self.payloads(topic), f"'{payload}' on {topic}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        again = False
        for line in self._process.stdout:
            if " received PUBLISH (d" in line:
                again = " received PUBLISH (d1" in line
            elif line.startswith("=> "):
                retained, topic, payload = line[3:].rstrip("\n").split(" ", 2)
                SUITE.arrival(topic, payload)
                self.arrivals.append(Arrival(retained == "1", topic, payload, again))
            elif "SUBACK" in line or line.startswith("Subscribed"):
                self._subscribed.set()
