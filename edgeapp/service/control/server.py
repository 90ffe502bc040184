"""The control socket: how a person at the device looks into a running process, and steers it.

A Unix socket that only its owner may open. The client sends one request, a line of JSON; the
process answers with frames and closes. A frame is a line of JSON and, where that says `bytes`, as
many bytes behind it. Nobody connected costs nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edgeapp.core.context import Log
from edgeapp.service.clients import Clients
from edgeapp.service.unix_socket import bound

SOCKET = "control.sock"
MOST_CLIENTS = 8
_LINE_BYTES = 1 << 16
_REQUEST_S = 5.0
_SLOW_S = 10.0
"""A client that does not take a frame within so long is hung up on."""


class Frame(NamedTuple):
    """A piece of an answer."""

    facts: dict[str, Any]
    data: bytes = b""


class RefusedError(Exception):
    """A request cannot be met; a sentence for whoever asked."""


Request = Mapping[str, Any]
Verb = Callable[[Request], AsyncIterator[Frame]]
"""Answers a request with frames. Raises RefusedError for what cannot be done."""


@asynccontextmanager
async def control_socket(
    folder: Path, verbs: Mapping[str, Verb], log: Log
) -> AsyncIterator[Path | None]:
    """Listen in `folder` until the block ends; gives the socket's path.

    Where that is not possible (a read-only disk, another process that listens already) it says so
    in the log, gives None and goes on: what runs must not depend on it.
    """
    path = folder / SOCKET
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(bound(path, 0o600))
        except OSError as error:
            log.warning("no control socket", problem=error.strerror or str(error), path=str(path))
            yield None
            return
        desk = _Desk(verbs, log)
        server = await asyncio.start_unix_server(desk.serve, sock=listener, limit=_LINE_BYTES)
        try:
            yield path
        finally:
            server.close()
            await desk.clients.hang_up()


class _Desk:
    """Answers the clients."""

    def __init__(self, verbs: Mapping[str, Verb], log: Log) -> None:
        self._verbs = verbs
        self._log = log
        self.clients = Clients(MOST_CLIENTS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client, and hang up. Never raises."""
        with self.clients.one(writer) as room:
            if room:
                await self._answer(reader, writer)
            else:
                await self._send(writer, Frame({"problem": "too many are connected already"}))
            writer.close()
            async with asyncio.timeout(_SLOW_S):  # a client need not read what we sent
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                line = await reader.readline()
            request = _request(line)
            verb = self._verb(request)
        except (RefusedError, ValueError) as error:
            await self._send(writer, Frame({"problem": str(error)}))
            return
        gone = asyncio.ensure_future(reader.read(1))  # the client says no more: it hung up
        frames = verb(request)
        answer = asyncio.ensure_future(self._relay(frames, writer))
        try:
            await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            answer.cancel()
            await asyncio.gather(gone, answer, return_exceptions=True)

    def _verb(self, request: Request) -> Verb:
        verb = self._verbs.get(str(request.get("verb")))
        if verb is None:
            raise RefusedError(f"this version knows: {', '.join(self._verbs)}")
        return verb

    async def _relay(self, frames: AsyncIterator[Frame], writer: asyncio.StreamWriter) -> None:
        try:
            async for frame in frames:
                await self._send(writer, frame)
        except RefusedError as error:
            await self._send(writer, Frame({"problem": str(error)}))
        except (OSError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001  a bug here must not end what runs
            self._log.error("a control request failed", exc_info=True)
            await self._send(writer, Frame({"problem": "that failed; the log says why"}))

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, frame: Frame) -> None:
        facts = {**frame.facts, "bytes": len(frame.data)} if frame.data else frame.facts
        writer.write(json.dumps(facts).encode() + b"\n" + frame.data)
        async with asyncio.timeout(_SLOW_S):
            await writer.drain()


def _request(line: bytes) -> Request:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise RefusedError("a request is one line of JSON") from None
    if not isinstance(request, dict):
        raise RefusedError("a request is one JSON object")
    return request
