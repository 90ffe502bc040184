"""Warns before this device's own certificate expires: afterwards it cannot connect any more."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeapp.core.context import Log
from edgeapp.uplink.mqtt.certificate import good_until

WARN_DAYS = (7, 30)
"""How many days before: once for each, the nearest first."""

_DAY_S = 24 * 3600.0


class ExpiryWatch:
    """Looks at one certificate file. For the event loop only."""

    def __init__(self, file: Path, log: Log, wall_s: Callable[[], float]) -> None:
        """Prepare. `wall_s`: seconds since 1970."""
        self._file = file
        self._log = log
        self._wall_s = wall_s
        self._warned: int | None = None

    async def until(self, over: "asyncio.Future[Any]") -> None:
        """Look now and every day, until `over` is done: a connection may hold for years."""
        while not over.done():
            self.look()
            await asyncio.wait((over,), timeout=_DAY_S)

    def look(self) -> None:
        """Warn, once for each of WARN_DAYS. A file that cannot be read is passed over."""
        try:
            expires = good_until(self._file.read_text(encoding="ascii", errors="replace"))
        except OSError:
            return  # connecting says so
        if expires is None:
            return
        left = expires - datetime.fromtimestamp(self._wall_s(), UTC)
        near = next((days for days in WARN_DAYS if left.days < days), None)
        if near is not None and near != self._warned:
            self._log.warning(
                "the certificate of this device expires: renew the file",
                file=str(self._file),
                expires=expires.isoformat(),
                days_left=max(0, left.days),
            )
        self._warned = near
