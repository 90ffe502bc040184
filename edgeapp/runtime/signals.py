"""Signals, told to an event loop."""

import asyncio
import signal
from collections.abc import Callable


def tell(loop: asyncio.AbstractEventLoop, number: signal.Signals, do: Callable[[], object]) -> None:
    """Call `do` on the loop when the signal comes. Main thread.

    The handler stays for good and does nothing once the loop is closed. One that was added to the
    loop itself is taken away when that closes: for an instant a second SIGTERM would kill the
    process, and a signal of before that is written to a pipe that is closed already.
    """

    def heard(_number: int, _frame: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(do)

    signal.signal(number, heard)
