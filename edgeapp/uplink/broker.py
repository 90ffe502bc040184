"""The embedded broker: what `run` starts when no broker is named.

It is rumqttd out of the package `iotcore`, in a child process, since it cannot be stopped otherwise.
It speaks one protocol version for each port, so it gets two: 1883 and 1884, or the next free ones.
It listens on the loopback only and keeps everything in memory.
"""

import importlib.util
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeapp.errors import Unavailable

HOST = "127.0.0.1"
FIRST_PORT = 1883
MAX_PAYLOAD_BYTES = 1024 * 1024

_PORTS_TRIED = 200
_ATTEMPTS = 3
_READY_S = 15.0
_POLL_S = 0.02
_STOP_S = 3.0

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
    pid: int


@contextmanager
def embedded_broker(first_port: int = FIRST_PORT) -> Iterator[EmbeddedBroker]:
    """Run a broker until the block ends. Blocks for a fraction of a second at either end.

    It ends with this process, too, however that ends; Ctrl-C does not reach it, so that the uplink
    can say goodbye first.

    Raises:
        Unavailable: the package is not installed, no port is free, or the broker does not start.
    """
    if importlib.util.find_spec("iotcore") is None:
        raise Unavailable(
            "no broker is named and the embedded one is not installed: "
            "pip install 'edgeapp[broker]', or name a broker in the device file"
        )
    process, broker = _start(first_port)
    try:
        yield broker
    finally:
        _stop(process)


def _start(first_port: int) -> tuple["subprocess.Popen[bytes]", EmbeddedBroker]:
    """Start on the first two free ports; again when another process was quicker to take them."""
    for _ in range(_ATTEMPTS):
        port_v4, port_v5 = _free_ports(first_port, 2)
        with tempfile.TemporaryDirectory(prefix="edgeapp-broker-") as folder:
            config = Path(folder) / "broker.toml"
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
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own file
                # -P: nothing in the working directory may pass for the package
                [sys.executable, "-P", str(Path(__file__).with_name("broker_process.py")), config],
                stdin=subprocess.PIPE,  # it ends when this pipe closes
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                ready = _ready(process, (port_v4, port_v5))
            except BaseException:
                _stop(process)
                raise
            if ready:
                return process, EmbeddedBroker(HOST, port_v5, port_v4, process.pid)
            _stop(process)
    raise Unavailable("the embedded broker does not start: name a broker in the device file")


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
