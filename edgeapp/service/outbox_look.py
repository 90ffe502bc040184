"""What the outbox on the disk holds, as plain data."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgeapp.core.clock import NS, MonotonicClock
from edgeapp.core.message import Message, Priority
from edgeapp.uplink.disk.store import StoreError
from edgeapp.uplink.disk.store_reader import StoreReader
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import WallClock

Row = dict[str, Any]


def look(reader: StoreReader, quotas: Mapping[Priority, int]) -> Row:
    """How much there is of each class, how old it is, and in which files; never raises for them."""
    classes: dict[str, Row] = {}
    facts: Row = {
        "classes": classes,
        "dead": 0,
        "files": [asdict(file) for file in reader.files],
        "problem": "",
    }
    try:
        ages = _Ages(reader)
        for name, quota_bytes in quotas.items():
            tally = reader.waiting(name)
            first = reader.messages(name, 1)
            classes[name] = {
                "messages": tally.count,
                "bytes": tally.bytes,
                "quota_bytes": quota_bytes,
                "oldest_s": ages.of(first[0].key, first[0].message) if first else None,
            }
        facts["dead"] = reader.dead_count()
    except StoreError as error:
        facts["problem"] = str(error)
    return facts


def waiting_rows(
    reader: StoreReader, device: str, classes: Sequence[Priority], limit: int, *, newest: bool
) -> list[Row]:
    """Up to so many messages of each class, the oldest or the newest ones.

    Raises:
        StoreError: the files cannot be read.
    """
    ages = _Ages(reader)
    return [
        _row(device, stored.key, stored.message, ages)
        for name in classes
        for stored in reader.messages(name, limit, newest=newest)
    ]


def dead_rows(
    reader: StoreReader, device: str, classes: Sequence[Priority], limit: int, *, newest: bool
) -> list[Row]:
    """Ditto of those that the broker refused for good; the reason is `refused`.

    Raises:
        StoreError: the files cannot be read.
    """
    ages = _Ages(reader)
    return [
        {**_row(device, key, message, ages), "refused": reason}
        for key, message, reason in reader.dead(limit, newest=newest)
        if message.priority in classes
    ]


class _Ages:
    """How old messages are, also those of earlier boots where that is known."""

    def __init__(self, reader: StoreReader) -> None:
        self._runs, offsets = reader.boots()
        self._wall = WallClock(MonotonicClock())
        self._wall.learn(offsets)

    def of(self, key: Key, message: Message | None) -> float | None:
        """In seconds; None: nobody knows."""
        if message is None:
            return None
        age_ns = self._wall.age_ns(message.taken_ns, self._runs.get(key.run, ""))
        return None if age_ns is None else round(age_ns / NS, 1)


def _row(device: str, key: Key, message: Message | None, ages: _Ages) -> Row:
    row: Row = {"id": f"{device}/{key.run}/{key.number}"}
    if message is None:
        return row | {"problem": "damaged on the disk"}
    row |= {
        "class": message.priority,
        "topic": message.topic,
        "age_s": ages.of(key, message),
        "bytes": len(message.body),
        "retain": message.retain,
        "ttl_s": message.ttl_s,
    }
    if message.binary:
        body = b64encode(message.body).decode("ascii")
        return row | {"content_type": message.content_type, "base64": body}
    try:
        return row | {"body": json.loads(message.body)}
    except ValueError:
        return row | {"problem": "damaged on the disk"}
