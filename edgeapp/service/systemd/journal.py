"""systemd's journal, spoken natively: an entry with fields for each event, instead of a line.

The protocol is one datagram for each entry (systemd.io/JOURNAL_NATIVE_PROTOCOL): `KEY=value` lines,
or, where a value holds a newline, the key, its length and the value. What is too large for a
datagram travels as a sealed file in memory.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

SOCKET = "/run/systemd/journal/socket"
PRIORITIES: Mapping[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
MOST_FIELDS = 48
MOST_VALUE_BYTES = 4_096
MOST_MESSAGE_BYTES = 65_536
_LONGEST_KEY = 64
_PATIENCE_S = 0.25
"""A journal that is busy for longer loses an entry, which the next one tells."""
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_TOO_LARGE = frozenset({errno.EMSGSIZE, errno.ENOBUFS})

Event = Mapping[str, Any]
Say = Callable[[Event], str]


def is_journal(stream: TextIO | None, environment: Mapping[str, str] | None = None) -> bool:
    """Whether a stream, such as standard error, is what systemd connected to the journal."""
    environment = os.environ if environment is None else environment
    try:
        if stream is None:
            return False
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file
        return False
    return environment.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


class Journal:
    """Where structlog ends: sends events to the journal; any thread.

    Where there is no journal, as while it restarts, `otherwise` gets the event; the next one tries
    the journal again.
    """

    def __init__(
        self, message: Say, otherwise: Callable[[Event], None], *, path: str = SOCKET
    ) -> None:
        """Prepare. `message`: an event as a text that can be read without its fields."""
        self._message = message
        self._otherwise = otherwise
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_PATIENCE_S)
        self._lost = 0

    def close(self) -> None:
        """Log no more."""
        self._socket.close()

    def msg(self, **event: Any) -> None:
        """Log one event; never raises for what the journal does."""
        if self._lost:
            event["entries_lost"] = self._lost
        entry = encoded(fields(event, self._message(event)))
        try:
            self._send(entry)
        except TimeoutError:
            self._lost += 1
        except OSError:
            self._otherwise(event)
        else:
            self._lost = 0

    debug = info = warning = error = msg

    def _send(self, entry: bytes) -> None:
        """Raises OSError: nobody takes it."""
        try:
            self._socket.sendto(entry, self._path)
        except TimeoutError:
            raise
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_file(entry)

    def _send_file(self, entry: bytes) -> None:
        fd = os.memfd_create("edgeapp-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            left = memoryview(entry)
            while left:
                left = left[os.write(fd, left) :]
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
                one.settimeout(_PATIENCE_S)
                one.connect(self._path)
                socket.send_fds(one, [b""], [fd])
        finally:
            os.close(fd)


def fields(event: Event, message: str) -> dict[str, str]:
    """The fields of an entry; bounded, their names as the journal allows them."""
    found = {
        "MESSAGE": _short(message, MOST_MESSAGE_BYTES),
        "PRIORITY": str(PRIORITIES.get(str(event.get("level")), 6)),
        "SYSLOG_IDENTIFIER": "edgeapp",
    }
    for key, value in event.items():
        if key == "level" or len(found) >= MOST_FIELDS:
            continue
        most = MOST_MESSAGE_BYTES if key in {"exception", "stack"} else MOST_VALUE_BYTES
        found[_name(key)] = _short(_text(value), most)
    return found


def encoded(entry: Mapping[str, str]) -> bytes:
    """An entry as it travels."""
    parts = []
    for key, value in entry.items():
        data = value.encode(errors="replace")
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (key.encode(), struct.pack("<Q", len(data)), data))
        else:
            parts.append(b"%s=%s\n" % (key.encode(), data))
    return b"".join(parts)


def _name(key: str) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in key.upper())
    return f"EDGEAPP_{plain}"[:_LONGEST_KEY]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    with suppress(Exception):  # whatever a plugin logs, the rest of its entry is kept
        return str(value)
    return f"({type(value).__name__})"


def _short(text: str, most_bytes: int) -> str:
    if len(text) * 4 <= most_bytes:
        return text
    data = text.encode(errors="replace")
    if len(data) <= most_bytes:
        return text
    return data[: most_bytes - 3].decode(errors="ignore") + "…"
