"""Asking a running process over its control socket. Blocking; for commands."""

import json
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeapp.config.places import SYSTEM
from edgeapp.errors import Unavailable
from edgeapp.service.control.server import SOCKET, Frame, RefusedError
from edgeapp.service.unix_socket import short

_CONNECT_S = 3.0
_ANSWER_S = 20.0


def ask(
    folder: Path, verb: str, arguments: Mapping[str, object], *, patient: bool = False
) -> Generator[Frame, None, None]:
    """Send a request and yield the frames of the answer.

    `patient`: wait for each frame as long as it takes; a stage may be silent for hours.

    Raises:
        Unavailable: nobody listens, or it hung up.
        RefusedError: the request cannot be met; a sentence.
    """
    path = folder / SOCKET
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_CONNECT_S)
        try:
            with short(path) as name:
                connection.connect(name)
            with suppress(BrokenPipeError, ConnectionResetError):  # it says why, and hangs up
                connection.sendall(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        except PermissionError:
            raise Unavailable(f"'{path}' belongs to another user: ask as that user") from None
        except OSError:
            if folder == SYSTEM.run:
                remedy = "sudo systemctl start edgeapp; journalctl -u edgeapp says why it ended"
            else:
                remedy = "start 'edgeapp run', or give the --device with which it was started"
            what = "the service does not run" if folder == SYSTEM.run else "nothing runs here"
            problem = f"{what}: nobody listens at '{path}'; {remedy}"
            raise Unavailable(problem) from None
        connection.settimeout(None if patient else _ANSWER_S)
        with connection.makefile("rb") as stream:
            yield from _frames(stream)


def _frames(stream: Any) -> Iterator[Frame]:
    try:
        while line := stream.readline():
            facts = json.loads(line)
            data = stream.read(facts.get("bytes", 0))
            if "problem" in facts:
                raise RefusedError(facts["problem"])
            yield Frame(facts, data)
    except (OSError, ValueError) as error:
        raise Unavailable(f"the answer broke off: {error}") from None
