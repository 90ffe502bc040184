"""A small HTTP server for those who watch the device from within: GET and HEAD, nothing else.

One request a connection. Everything is bounded: how many connect, how long a request may be and
take, and how long whoever asked may take to read the answer. It runs on the event loop.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from edgeapp.core.context import Log
from edgeapp.service.clients import Clients

MOST_CLIENTS = 16
MOST_HEAD_BYTES = 8 * 1024
"""Of a request: its line and headers."""
REQUEST_S = 5.0
"""So long may a request take to arrive."""
ANSWER_S = 10.0
"""So long may an answer take to be made, and as long to be taken."""
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[], Awaitable[Answer]]
"""Answers one GET."""


class BadRequestError(Exception):
    """What came is no request that we answer; holds the status and a sentence."""

    def __init__(self, status: HTTPStatus, said: str, **headers: str) -> None:
        super().__init__(said)
        self.answer = Answer(status, f"{said}\n".encode(), headers=headers)


@asynccontextmanager
async def serve(
    listeners: list[socket.socket], pages: Mapping[str, Page], log: Log
) -> AsyncIterator[None]:
    """Answer on sockets that are bound, until the block ends; then hang up on everybody."""
    desk = _Desk(pages, log)
    servers = [
        await asyncio.start_server(
            desk.serve, sock=one, limit=MOST_HEAD_BYTES, backlog=MOST_CLIENTS
        )
        for one in listeners
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()
        await desk.clients.hang_up()


class _Desk:
    """Answers the clients."""

    def __init__(self, pages: Mapping[str, Page], log: Log) -> None:
        self._pages = pages
        self._log = log
        self.clients = Clients(MOST_CLIENTS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client, and hang up. Never raises."""
        with self.clients.one(writer) as room:
            if not room:
                too_many = BadRequestError(
                    HTTPStatus.SERVICE_UNAVAILABLE, "too many are connected", **{"Retry-After": "1"}
                )
                await self._send(writer, too_many.answer, body=True)
                return
            method, answer = await self._answer(reader)
            await self._send(writer, answer, body=method != "HEAD")
            await _linger(reader)

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, Answer]:
        method = ""
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await _head(reader)
            method, path = _request(head)
            page = self._page(path)
            async with asyncio.timeout(ANSWER_S):
                return method, await page()
        except BadRequestError as refused:
            return method, refused.answer
        except TimeoutError:
            if not method:
                return "", BadRequestError(HTTPStatus.REQUEST_TIMEOUT, "that took too long").answer
            return method, BadRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "no answer yet").answer
        except Exception:  # noqa: BLE001  a bug here must not end what runs
            self._log.error("a request for metrics failed", exc_info=True)
            said = "that failed; the log says why"
            return method, BadRequestError(HTTPStatus.INTERNAL_SERVER_ERROR, said).answer

    def _page(self, path: str) -> Page:
        page = self._pages.get(path)
        if page is None:
            raise BadRequestError(HTTPStatus.NOT_FOUND, f"there is {', '.join(self._pages)}")
        return page

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, answer: Answer, *, body: bool) -> None:
        lines = [
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            "Cache-Control: no-store",
            "Connection: close",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        writer.transport.set_write_buffer_limits(high=0)  # drained is then: all is sent
        writer.write(head + answer.body if body else head)
        async with asyncio.timeout(ANSWER_S):
            await writer.drain()
        writer.write_eof()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """The line and the headers of a request.

    Raises:
        BadRequestError: they are too long, or end early.
    """
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise BadRequestError(status, f"a request has at most {MOST_HEAD_BYTES} bytes") from None
    except asyncio.IncompleteReadError:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "that is no whole request") from None


def _request(head: bytes) -> tuple[str, str]:
    """The method and the path that are asked for.

    Raises:
        BadRequestError: it is no request, or another method than GET or HEAD.
    """
    line = head.partition(b"\r\n")[0].decode("latin-1")
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004  method, path, version
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "that is no request in HTTP/1.1")
    method, target, _ = parts
    if method not in {"GET", "HEAD"}:
        status = HTTPStatus.METHOD_NOT_ALLOWED
        raise BadRequestError(status, "there is only GET and HEAD", Allow="GET, HEAD")
    if not target.startswith("/"):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "a path begins with '/'")
    return method, target.partition("?")[0]


async def _linger(reader: asyncio.StreamReader) -> None:
    """Wait a moment for the client to close: an answer is lost if we hang up on what it still sends."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(1.0):
            for _ in range(MOST_CLIENTS):
                if not await reader.read(MOST_HEAD_BYTES):
                    return
