"""A server that anybody on the device may talk to, and that nobody can hold up."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.service.monitoring import http
from edgeapp.service.monitoring.http import (
    MOST_CLIENTS,
    MOST_HEAD_BYTES,
    Answer,
    BadRequestError,
    serve,
)
from edgeapp.testing.stage import LogBook

Talk = Callable[[int], Awaitable[None]]
BODY = b"all is well\n" * 20_000


async def well() -> Answer:
    return Answer(HTTPStatus.OK, b"ok\n")


async def long() -> Answer:
    return Answer(HTTPStatus.OK, BODY)


async def broken() -> Answer:
    raise ZeroDivisionError("a bug")


async def slow() -> Answer:
    await asyncio.sleep(3600)
    raise AssertionError


PAGES = {"/well": well, "/long": long, "/broken": broken, "/slow": slow}


def while_served(talk: Talk, log: LogBook | None = None) -> None:
    async def main() -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        with listener:
            async with asyncio.timeout(30), serve([listener], PAGES, log or LogBook()):
                await talk(listener.getsockname()[1])

    asyncio.run(main())


async def ask(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send, and read until it hangs up; (0, {}, b"") where it does so without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await reader.read()
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    if not answer:
        return 0, {}, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), headers, body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode()


def test_a_page_is_answered_once_and_the_connection_closed() -> None:
    async def talk(port: int) -> None:
        status, headers, body = await ask(port, get("/well") + get("/long"))
        assert (status, body) == (200, b"ok\n")
        assert headers["Connection"] == "close"
        assert headers["Content-Length"] == "3"
        assert (await ask(port, get("/well?format=text")))[0] == 200

    while_served(talk)


def test_a_long_answer_arrives_whole_however_slowly_it_is_read() -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(get("/long"))
        got = b""
        while piece := await reader.read(20_000):
            got += piece
            await asyncio.sleep(0)
        writer.close()
        assert got.partition(b"\r\n\r\n")[2] == BODY

    while_served(talk)


def test_head_says_how_long_it_would_be() -> None:
    async def talk(port: int) -> None:
        status, headers, body = await ask(port, get("/long").replace(b"GET", b"HEAD"))
        assert (status, headers["Content-Length"], body) == (200, str(len(BODY)), b"")

    while_served(talk)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/nothing"), 404),
        (get("/well/"), 404),
        (get("/../../etc/passwd"), 404),
        (get("http://elsewhere/well"), 400),
        (b"POST /well HTTP/1.1\r\n\r\n", 405),
        (b"DELETE /well HTTP/1.1\r\n\r\n", 405),
        (b"get /well HTTP/1.1\r\n\r\n", 405),
        (b"GET /well\r\n\r\n", 400),
        (b"GET /well HTTP/2\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (get("/broken"), 500),
    ],
)
def test_what_cannot_be_answered_is_told_so(request_: bytes, status: int) -> None:
    log = LogBook()

    async def talk(port: int) -> None:
        told, _, body = await ask(port, request_)
        assert told == status
        assert b"Traceback" not in body
        assert (await ask(port, get("/well")))[0] == 200

    while_served(talk, log)
    assert len(log.events) == (status == 500)


def test_other_methods_are_told_what_there_is() -> None:
    async def talk(port: int) -> None:
        _, headers, _ = await ask(port, b"PUT /well HTTP/1.1\r\n\r\n")
        assert headers["Allow"] == "GET, HEAD"

    while_served(talk)


def test_a_head_without_end_is_cut_off() -> None:
    async def talk(port: int) -> None:
        endless = b"GET /well HTTP/1.1\r\nX: " + b"x" * (3 * MOST_HEAD_BYTES)
        assert (await ask(port, endless))[0] in {0, 431}
        many = b"GET /well HTTP/1.1\r\n" + b"X: y\r\n" * MOST_HEAD_BYTES + b"\r\n"
        assert (await ask(port, many))[0] in {0, 431}
        assert (await ask(port, get("/well")))[0] == 200

    while_served(talk)


def test_who_sends_a_byte_now_and_then_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow loris: as many as can connect, each never done; then others come in again."""
    monkeypatch.setattr(http, "REQUEST_S", 0.2)

    async def crowd(port: int) -> int:
        """What is told to one more than can connect; all the others run out of time."""
        lorises = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CLIENTS)]
        for _, writer in lorises:
            writer.write(b"GET /well HT")
        told, _, _ = await ask(port, get("/well"))
        answers = [await reader.read() for reader, _ in lorises]
        assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)
        for _, writer in lorises:
            writer.close()
        return told

    async def talk(port: int) -> None:
        while await crowd(port) != 503:  # on a busy machine their time had run out before
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)
        while (await ask(port, get("/well")))[0] != 200:
            await asyncio.sleep(0.01)

    while_served(talk)


def test_who_never_reads_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.2)

    asked = asyncio.Event()

    async def huge() -> Answer:
        asked.set()
        return Answer(HTTPStatus.OK, b"x" * 20_000_000)

    monkeypatch.setitem(PAGES, "/huge", huge)

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(get("/huge"))
        await asked.wait()
        await asyncio.sleep(0.5)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(20_000_000)
        writer.close()
        assert (await ask(port, get("/well")))[0] == 200

    while_served(talk)


def test_a_page_that_is_not_ready_in_time_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.05)

    async def talk(port: int) -> None:
        assert (await ask(port, get("/slow")))[0] == 503

    while_served(talk)


def test_the_end_hangs_up_on_everybody() -> None:
    async def main() -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        with listener:
            async with serve([listener], PAGES, LogBook()):
                port = listener.getsockname()[1]
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(get("/slow"))
                await asyncio.sleep(0.05)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


def test_garbage_and_half_requests_leave_it_well() -> None:
    """Half of what is sent begins like a request."""
    chance = random.Random(6)
    log = LogBook()

    async def talk(port: int) -> None:
        async def one(number: int) -> None:
            junk = chance.randbytes(chance.randrange(4_000))
            if number % 2:
                junk = get("/well")[: chance.randrange(40)] + junk
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(junk)
            if number % 3:
                writer.write_eof()
            else:
                writer.transport.abort()
            writer.close()

        for batch in range(30):
            await asyncio.gather(*(one(batch * 10 + n) for n in range(10)))
        status = 0
        while status != 200:
            status, _, _ = await ask(port, get("/well"))

    while_served(talk, log)
    assert log.events == []


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_any_first_line_is_refused_or_understood(line: bytes) -> None:
    with suppress(BadRequestError):
        method, path = http._request(line + b"\r\n\r\n")
        assert method in {"GET", "HEAD"}
        assert path.startswith("/")
