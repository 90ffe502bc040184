"""What a row of a message and an error mean, in an SQLite file that may be damaged."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from edgeapp.core.message import Message, Priority
from edgeapp.uplink.disk.store import Stored, StoreError, Trouble, checksum, stored_size
from edgeapp.uplink.outbox import Key

COLUMNS = "id, run, number, retain, binary, taken_ns, ttl_s, crc, content_type, topic, body"
"""Of a message."""

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def row_of(stored: Stored) -> tuple[Any, ...]:
    """A message as a row of `COLUMNS`."""
    m = stored.message
    assert m is not None
    return (
        *(stored.id, *stored.key, m.retain, m.binary, m.taken_ns, m.ttl_s),
        *(checksum(m.topic, m.body), m.content_type, m.topic, m.body),
    )


def stored_of(priority: Priority, row: Sequence[Any]) -> Stored:
    """A message from a row of `COLUMNS`; without it where the row is damaged."""
    id_, run, number, retain, binary, taken_ns, ttl_s, crc, content_type, topic, body = row
    message: Message | None = None
    size = stored_size(sum(len(part) for part in (topic, content_type, body)))
    with contextlib.suppress(TypeError, ValueError, AttributeError):
        if checksum(topic, body) == crc:
            found = Message(
                *(str(topic), bytes(body), int(taken_ns), priority, bool(binary), bool(retain)),
                *(None if ttl_s is None else float(ttl_s), str(content_type)),
            )
            found.check()
            message = found
    return Stored(id_, Key(int(run), int(number)), message, priority, size)


def text_or_similar(raw: bytes) -> str:
    """Text of a column, also where its bytes are damaged."""
    return raw.decode(errors="replace")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What goes wrong with the file, in our words."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_trouble(error), str(error)) from None
    except OSError as error:
        raise StoreError("failed", str(error)) from None
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        # Values that we never wrote.
        raise StoreError("damaged", f"nonsense in the file: {error!r}") from None


def _trouble(error: sqlite3.Error) -> Trouble:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _PASSING:
        return "full"
    # An error of the language: a table or a column is not there.
    return "damaged" if code in _DAMAGED or code == sqlite3.SQLITE_ERROR else "failed"
