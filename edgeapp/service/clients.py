"""Who is connected to a server of ours: a few at a time, and nobody after its end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Clients:
    """Those that are connected to a server. On its event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[object]] = set()

    @contextmanager
    def one(self, writer: asyncio.StreamWriter) -> Iterator[bool]:
        """Be with one client, in the task that asyncio made for it; gives whether there is room.

        The block ends, and raises nothing, where the client is gone (OSError), slow (TimeoutError),
        or hung up on. Then the connection is cut: what is not sent by the end of the block is lost.
        """
        task = asyncio.current_task()
        assert task is not None, "asyncio calls this in a task"
        self._tasks.add(task)
        try:
            yield len(self._tasks) <= self._most
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def hang_up(self) -> None:
        """Hang up on everybody. The server is closed before: nobody comes in meanwhile."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
