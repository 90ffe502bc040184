"""Reloading by itself, once files have changed and are not being written any more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from edgeapp.config.layers import device_files
from edgeapp.core.context import Log
from edgeapp.errors import ConfigError
from edgeapp.service.control.server import RefusedError
from edgeapp.service.reloading.pipeline_files import Given

LOOK_S = 1.0

Seen = dict[Path, tuple[int, ...]]
"""Size, time of change and inode of each file, or why it cannot be looked at."""


def seen(given: Given) -> Seen:
    """All files as they are now: of the pipelines, with those that are new, and of the device."""
    return {file: _state(file) for look in (_pipelines, _device) for file in look(given)}


def _pipelines(given: Given) -> Iterable[Path]:
    try:
        return given.listed()
    except ConfigError:
        return (given.folder,) if given.folder else ()


def _device(given: Given) -> Iterable[Path]:
    try:
        return device_files(given.device)
    except ConfigError:
        return ()


def _state(file: Path) -> tuple[int, ...]:
    try:
        state = file.stat()
    except OSError as error:
        return (error.errno or 0,)
    return state.st_size, state.st_mtime_ns, state.st_ino


class FileWatch:
    """Looks about once a second; what differs for two looks on end in the same way has settled."""

    def __init__(
        self, look: Callable[[], Seen], reload: Callable[[], Awaitable[object]], log: Log
    ) -> None:
        """Prepare. `look` may block; what it sees first is what runs."""
        self._look = look
        self._reload = reload
        self._log = log
        self._known = look()
        self._last = self._known

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look until cancelled."""
        while True:
            await sleep(LOOK_S)
            await self.step()

    async def step(self) -> None:
        """Look once, and reload what has settled; what is refused is in the log."""
        now = await asyncio.to_thread(self._look)
        before, self._last = self._last, now
        if now == self._known or now != before:
            return
        self._known = now
        try:
            await self._reload()
        except RefusedError:
            pass
        except Exception:  # noqa: BLE001  the next change may be right
            self._log.error("crashed", what="reload", exc_info=True)
