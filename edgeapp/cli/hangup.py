"""SIGHUP: what a service reloads on, and what a terminal sends when it goes away."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from edgeapp.core.context import Log
from edgeapp.runtime.signals import tell


@contextmanager
def reload_on_hangup(reload: Callable[[], Awaitable[object]], log: Log) -> Iterator[None]:
    """Reload on SIGHUP, until the block ends; but stop where our terminal is what hung up.

    A process that `nohup` started outlives its terminal, as it should. On the event loop.
    """
    from edgeapp.service.control.server import RefusedError

    loop = asyncio.get_running_loop()
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    terminal = _has_terminal()
    asked = asyncio.Event()

    async def do() -> None:
        while True:
            await asked.wait()
            asked.clear()  # before the files are read: who asks from now on may have changed them
            try:
                await reload()
            except RefusedError:
                pass  # it is in the log
            except Exception:
                log.error("crashed", what="reload", exc_info=True)  # noqa: G201  a Log has no exception()

    def heard() -> None:
        nonlocal terminal
        if terminal and not _has_terminal():
            terminal = False
            if not outlives:
                os.kill(os.getpid(), signal.SIGTERM)  # the one path on which all stops
        else:
            asked.set()

    task = loop.create_task(do(), name="reload")
    tell(loop, signal.SIGHUP, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is stopping reads no file again
        task.cancel()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
