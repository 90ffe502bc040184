"""What monitoring may ask over HTTP, where the device file says so: metrics, and two short words.

`/metrics` is rendered on a thread: it reads files of the kernel, and the event loop has no time for
that. `/healthz` says whether anything is stuck, `/readyz` whether the pipelines are open.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgeapp.config.metrics import MetricsConfig
from edgeapp.runtime.app import App
from edgeapp.service.monitoring.health import Health
from edgeapp.service.monitoring.http import Answer, Page, serve
from edgeapp.service.monitoring.metrics import Facts, render
from edgeapp.service.unix_socket import bound

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK = ("127.0.0.1", "::1")
_MODE = 0o660
_NOT_OPEN = frozenset({"starting", "stopped"})

Look = Callable[[], Mapping[str, Any] | None]


class Monitoring:
    """Answers for one application. On its event loop."""

    def __init__(
        self, app: App, health: Health, *, uplink: Look, governor: Look, data_dir: Path
    ) -> None:
        """Prepare. `uplink`, `governor`: their state as plain data; None: there is none."""
        self._app = app
        self._health = health
        self._uplink = uplink
        self._governor = governor
        self._data_dir = data_dir
        self._rendering: asyncio.Future[bytes] | None = None

    async def run(self, config: MetricsConfig) -> None:
        """Answer until cancelled. Where that is not possible, the log says so; all else goes on."""
        log = self._app.kit.log
        if find_spec("prometheus_client") is None:
            problem = "prometheus-client is not installed: pip install 'edgeapp[metrics]'"
            log.error("no metrics", problem=problem)
            return
        with ExitStack() as stack:
            try:
                listeners = _listeners(config, stack)
            except OSError as error:
                where = config.socket or f"port {config.port}"
                problem = error.strerror or str(error)
                log.error("no metrics", problem=problem, where=str(where))  # noqa: TRY400  a Log has no exception()
                return
            async with serve(listeners, self.pages(), log):
                await asyncio.Event().wait()

    def pages(self) -> dict[str, Page]:
        """What can be asked for."""
        return {"/metrics": self.metrics, "/healthz": self.healthz, "/readyz": self.readyz}

    async def metrics(self) -> Answer:
        """Everything, for Prometheus. Whoever asks at the same time gets the same."""
        rendering = self._rendering
        if rendering is None or rendering.done():
            self._rendering = rendering = self._render(self.facts())
        return Answer(HTTPStatus.OK, await asyncio.shield(rendering), CONTENT_TYPE)

    async def healthz(self) -> Answer:
        """Whether the loop turns, which this answers itself, and no stage is stuck."""
        stuck = [status for status in self._app.status() if status.state == "stuck"]
        said = "; ".join(f"{status.name}: {status.why}" for status in stuck)
        return _word(said)

    async def readyz(self) -> Answer:
        """Whether every pipeline is past its start, and none is being taken down."""
        if self._health.safe:
            return _word("safe mode: there are no pipelines")
        closed = [s.name for s in self._app.status() if s.state in _NOT_OPEN]
        return _word(f"not open: {', '.join(closed)}" if closed else "")

    def facts(self) -> Facts:
        """All that is told of the application at this moment; what the machine says is missing."""
        return Facts(
            statuses=self._app.status(),
            health=self._health.notice.health,
            up_s=self._health.up_s,
            silences=self._health.silences,
            uplink=self._uplink(),
            governor=self._governor(),
        )

    def _render(self, facts: Facts) -> asyncio.Future[bytes]:
        """On a daemon thread: a disk that hangs keeps neither the loop nor the end of the process."""
        loop = asyncio.get_running_loop()
        rendered: asyncio.Future[bytes] = loop.create_future()

        def settle(result: bytes | Exception) -> None:
            if rendered.done():
                return
            if isinstance(result, bytes):
                rendered.set_result(result)
            else:
                rendered.set_exception(result)
                rendered.exception()  # known, also if nobody waits for it any more

        def work() -> None:
            result: bytes | Exception
            try:
                result = render(with_machine(facts, self._data_dir))
            except Exception as error:  # noqa: BLE001  whoever waits must hear of it
                result = error
            with suppress(RuntimeError):  # the loop is closed: nobody asks any more
                loop.call_soon_threadsafe(settle, result)

        threading.Thread(target=work, name="metrics", daemon=True).start()
        return rendered


def with_machine(facts: Facts, data_dir: Path) -> Facts:
    """The facts with what the machine says. Waits for the disk."""
    from edgeapp.service.monitoring.machine_facts import machine_facts

    return replace(facts, machine=machine_facts(data_dir))


def _word(problem: str) -> Answer:
    if problem:
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{problem}\n".encode())
    return Answer(HTTPStatus.OK, b"ok\n")


def _listeners(config: MetricsConfig, stack: ExitStack) -> list[socket.socket]:
    """Sockets that listen where the device file says; they are closed with the stack.

    Raises:
        OSError: there is nowhere to listen.
    """
    if config.socket is not None:
        return [stack.enter_context(bound(config.socket, _MODE))]
    assert config.port is not None, "the device file was checked"
    first = _tcp(socket.AF_INET, LOOPBACK[0], config.port, stack)
    with suppress(OSError):  # without IPv6
        return [first, _tcp(socket.AF_INET6, LOOPBACK[1], config.port, stack)]
    return [first]


def _tcp(family: socket.AddressFamily, host: str, port: int, stack: ExitStack) -> socket.socket:
    listener = stack.enter_context(socket.socket(family))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((host, port))
    return listener
