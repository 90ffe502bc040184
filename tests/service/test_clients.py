"""Those that are connected to a server: what they do ends neither it nor each other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edgeapp.service.clients import Clients


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamWriter, socket.socket]]:
    """The server's side of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        yield writer, theirs


def end_with(error: type[BaseException]) -> None:
    raise error


def test_there_is_room_for_so_many_and_for_others_once_they_left() -> None:
    async def main() -> None:
        clients = Clients(2)
        told: list[bool] = []
        leave = asyncio.Event()

        async def visit() -> None:
            async with connected() as (writer, _):
                with clients.one(writer) as room:
                    told.append(room)
                    await leave.wait()

        visits = [asyncio.ensure_future(visit()) for _ in range(3)]
        while len(told) < 3:
            await asyncio.sleep(0)
        assert told == [True, True, False]
        leave.set()
        await asyncio.gather(*visits)
        await visit()
        assert told[3:] == [True]

    asyncio.run(main())


@pytest.mark.parametrize("error", [BrokenPipeError, TimeoutError, asyncio.CancelledError])
def test_a_client_that_is_gone_or_slow_is_hung_up_on_without_a_word(
    error: type[BaseException],
) -> None:
    async def main() -> None:
        async with connected() as (writer, client):
            with Clients(1).one(writer):
                end_with(error)
            await asyncio.sleep(0)
            assert client.recv(1) == b""

    asyncio.run(main())


def test_a_bug_is_raised_and_its_client_hung_up_on() -> None:
    async def main() -> None:
        clients = Clients(1)
        async with connected() as (writer, client):
            with pytest.raises(ZeroDivisionError), clients.one(writer):
                raise ZeroDivisionError
            await asyncio.sleep(0)
            assert client.recv(1) == b""
            with clients.one(writer) as room:
                assert room

    asyncio.run(main())


def test_the_end_hangs_up_on_everybody_and_waits_until_they_are_gone() -> None:
    async def main() -> None:
        clients = Clients(2)
        here: list[str] = []

        async def visit(name: str) -> None:
            async with connected() as (writer, _):
                with clients.one(writer):
                    here.append(name)
                    try:
                        await asyncio.Event().wait()
                    finally:
                        await asyncio.sleep(0)  # it has something to put in order
                        here.remove(name)

        visits = [asyncio.ensure_future(visit(name)) for name in ("a", "b")]
        while len(here) < 2:
            await asyncio.sleep(0)
        await clients.hang_up()
        assert here == []
        await clients.hang_up()  # nobody is there
        await asyncio.gather(*visits)

    asyncio.run(main())
