"""SIGHUP while a reload is under way: files may have changed after that one read them."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from edgeapp.cli.hangup import reload_on_hangup
from edgeapp.service.logs import set_up


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Put the process's own handler back."""
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_one_more_follows_and_no_more_than_that() -> None:
    began: list[int] = []

    async def story() -> None:
        go_on = asyncio.Event()
        first = asyncio.Event()

        async def reload() -> None:
            began.append(len(began))
            first.set()
            await go_on.wait()

        with reload_on_hangup(reload, set_up("error")):
            os.kill(os.getpid(), signal.SIGHUP)
            await first.wait()
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGHUP)
                await asyncio.sleep(0)
            go_on.set()
            while len(began) < 2:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)

    asyncio.run(story())
    assert began == [0, 1]
