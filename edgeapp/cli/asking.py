"""Asking a running process from the command line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.cli import exits

if TYPE_CHECKING:
    from edgeapp.service.control import Frame

SERVICE_RUN_DIR = Path("/run/edgeapp")
"""Where systemd puts the service's socket, which a person's own shell is not told."""


def answers(
    device: Path | None, verb: str, arguments: Mapping[str, object], *, patient: bool = False
) -> "Iterator[Frame]":
    """The frames of a running process's answer.

    Raises:
        Quit: the request cannot be met.
        Unavailable: nothing runs.
    """
    from edgeapp.config.device import read_device
    from edgeapp.service.control import SOCKET, RefusedError
    from edgeapp.service.control_client import ask

    config = read_device(device)
    folder = config.run_dir or config.data_dir
    if not (folder / SOCKET).exists() and (SERVICE_RUN_DIR / SOCKET).exists():
        folder = SERVICE_RUN_DIR
    try:
        yield from ask(folder, verb, arguments, patient=patient)
    except RefusedError as error:
        raise exits.Quit(exits.USAGE, str(error)) from None


def answer(device: Path | None, verb: str, **arguments: object) -> "Frame":
    """The one frame of an answer.

    Raises:
        Quit: the request cannot be met, or the process ended before it answered.
        Unavailable: nothing runs.
    """
    for frame in answers(device, verb, arguments):
        return frame
    raise exits.Quit(exits.UNAVAILABLE, "the process ended before it answered")
