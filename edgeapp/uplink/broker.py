"""The embedded broker: what `run` starts when no broker is named.

It is rumqttd out of the package `iotcore`, in a child process, since it cannot be stopped otherwise.
It speaks one protocol version for each port, so it gets two: 1883 and 1884, or the next free ones.
It listens on the loopback only and keeps everything in memory. When it dies it is started again,
on the same ports.
"""

import importlib.util
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeapp.core.context import Log
from edgeapp.errors import Unavailable

HOST = "127.0.0.1"
FIRST_PORT = 1883
MAX_PAYLOAD_BYTES = 1024 * 1024

_PORTS_TRIED = 200
_ATTEMPTS = 3
_READY_S = 15.0
_POLL_S = 0.02
_STOP_S = 3.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_STABLE_S = 60.0  # one that ran for so long is started again as soon as the first time

# A segment holds whole messages, and each topic filter that is subscribed to keeps up to
# `max_segment_count` of them: 8 MiB.
_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 64
max_outgoing_packet_count = 200
max_segment_size = {segment_bytes}
max_segment_count = 4

[v4.1]
name = "mqtt-3.1.1"
listen = "{host}:{port_v4}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 10000
max_payload_size = {payload_bytes}
max_inflight_count = 100
dynamic_filters = true

[v5.1]
name = "mqtt-5"
listen = "{host}:{port_v5}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = {payload_bytes}
max_inflight_count = 100
dynamic_filters = true
"""


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """Where the embedded broker listens."""

    host: str
    port_v5: int
    """For MQTT 5, which the uplink speaks."""
    port_v4: int
    """For MQTT 3.1.1, which every tool speaks. Messages go from one port to the other."""


@contextmanager
def embedded_broker(
    first_port: int = FIRST_PORT, *, log: Log | None = None
) -> Iterator[EmbeddedBroker]:
    """Run a broker until the block ends. Blocks for a fraction of a second at either end.

    When it dies meanwhile it is started again, after pauses of 1, 2, 4 ... 60 seconds, and `log`
    is told. It ends with this process, too, however that ends; Ctrl-C does not reach it, so that
    the uplink can say goodbye first.

    Raises:
        Unavailable: the package is not installed, no port is free, or the broker does not start.
    """
    if importlib.util.find_spec("iotcore") is None:
        raise Unavailable(
            "no broker is named and the embedded one is not installed: "
            "pip install 'edgeapp[broker]', or name a broker in the device file"
        )
    process, broker = _start(first_port)
    with _Keeper(process, broker, log):
        yield broker


class _Keeper:
    """Starts the broker again, in a thread of its own, whenever it has died."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", broker: EmbeddedBroker, log: Log | None
    ) -> None:
        self._process = process
        self._broker = broker
        self._log = log
        self._lock = threading.Lock()  # of starting a process and of stopping for good
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="uplink/broker", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopping.set()
        _stop(self._process)
        self._thread.join()

    def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        since_s = time.monotonic()
        while True:
            code = self._process.wait()
            _stop(self._process)  # closes its pipe
            if time.monotonic() - since_s >= _STABLE_S:
                pause_s = _FIRST_PAUSE_S
            if not self._stopping.is_set() and self._log is not None:
                self._log.warning(
                    "the embedded broker died, starting it again", exit_code=code, in_s=pause_s
                )
            if self._stopping.wait(pause_s):
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            since_s = time.monotonic()
            self._start_again()

    def _start_again(self) -> None:
        ports = (self._broker.port_v4, self._broker.port_v5)
        with tempfile.TemporaryDirectory(prefix="edgeapp-broker-") as folder:
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = _launch(Path(folder), *ports)
            if not _ready(self._process, ports):
                _stop(self._process)


def _start(first_port: int) -> tuple["subprocess.Popen[bytes]", EmbeddedBroker]:
    """Start on the first two free ports; again when another process was quicker to take them."""
    for _ in range(_ATTEMPTS):
        port_v4, port_v5 = _free_ports(first_port, 2)
        with tempfile.TemporaryDirectory(prefix="edgeapp-broker-") as folder:
            process = _launch(Path(folder), port_v4, port_v5)
            try:
                ready = _ready(process, (port_v4, port_v5))
            except BaseException:
                _stop(process)
                raise
            if ready:
                return process, EmbeddedBroker(HOST, port_v5, port_v4)
            _stop(process)
    raise Unavailable("the embedded broker does not start: name a broker in the device file")


def _launch(folder: Path, port_v4: int, port_v5: int) -> "subprocess.Popen[bytes]":
    config = folder / "broker.toml"
    config.write_text(
        _CONFIG.format(
            host=HOST,
            port_v4=port_v4,
            port_v5=port_v5,
            payload_bytes=MAX_PAYLOAD_BYTES,
            segment_bytes=2 * MAX_PAYLOAD_BYTES,
        ),
        encoding="utf-8",
    )
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own file
        # -P: nothing in the working directory may pass for the package
        [sys.executable, "-P", str(Path(__file__).with_name("broker_process.py")), config],
        stdin=subprocess.PIPE,  # it ends when this pipe closes
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _free_ports(first: int, count: int) -> list[int]:
    found: list[int] = []
    for port in range(first, first + _PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise Unavailable(f"no port is free for the embedded broker from {first} on")


def _ready(process: "subprocess.Popen[bytes]", ports: tuple[int, ...]) -> bool:
    """Wait until every port answers; False when the process has ended or takes too long."""
    until_s = time.monotonic() + _READY_S
    while time.monotonic() < until_s and process.poll() is None:
        if all(_answers(port) for port in ports):
            return process.poll() is None
        time.sleep(_POLL_S)
    return False


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()
