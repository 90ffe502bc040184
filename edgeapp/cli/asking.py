"""Asking a running process from the command line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.cli import exits

if TYPE_CHECKING:
    from edgeapp.config.places import Places
    from edgeapp.service.control.server import Frame

SERVICES = Path("/run/edgeapp")
"""Below it each service has its run directory, which a person's own shell is not told."""


def answers(
    device: "Path | Places | None",
    verb: str,
    arguments: Mapping[str, object],
    *,
    patient: bool = False,
) -> "Iterator[Frame]":
    """The frames of a running process's answer.

    Raises:
        Quit: the request cannot be met.
        Unavailable: nothing runs.
    """
    from edgeapp.service.control.client import ask
    from edgeapp.service.control.server import RefusedError

    folder = listening(device)
    try:
        yield from ask(folder, verb, arguments, patient=patient)
    except RefusedError as error:
        raise exits.Quit(exits.USAGE, str(error)) from None


def listening(device: "Path | Places | None") -> Path:
    """Where the process listens that is meant: ours, else the installed service, else another one.

    Where none does, the folder in which what is installed would, else ours.

    Raises:
        Quit: several services run.
    """
    from edgeapp.cli.installed import installed
    from edgeapp.config.device import read_device
    from edgeapp.config.places import Places
    from edgeapp.service.control.server import SOCKET

    if isinstance(device, Places):
        return _folder(device)
    config = read_device(device)
    own = config.run_dir or config.data_dir
    service = None if device else installed()
    for folder in (own, *([_folder(service)] if service else [])):
        if _may_listen(folder / SOCKET):
            return folder
    return _service(SERVICES) or (_folder(service) if service else own)


def _folder(service: "Places") -> Path:
    """Where an installed service listens; what is wrong in its files keeps nobody from asking it."""
    from edgeapp.config.device import read_device
    from edgeapp.errors import ConfigError

    if service.run is not None:
        return service.run
    try:
        return read_device(service).data_dir
    except ConfigError:
        return service.data


def _may_listen(socket: Path) -> bool:
    """Whether there is such a socket, as far as we may look."""
    try:
        return socket.exists()
    except OSError:
        return False


def _service(services: Path) -> Path | None:
    """The run directory of the service that runs here; None where there is none.

    Raises:
        Quit: several run.
    """
    from edgeapp.service.control.server import SOCKET

    found = sorted(socket.parent for socket in services.glob(f"**/{SOCKET}"))
    if len(found) > 1:
        names = ", ".join(str(folder) for folder in found)
        problem = f"several services run: say which, as in RUNTIME_DIRECTORY={found[0]}; of {names}"
        raise exits.Quit(exits.USAGE, problem)
    return found[0] if found else None


def answer(device: "Path | Places | None", verb: str, **arguments: object) -> "Frame":
    """The one frame of an answer.

    Raises:
        Quit: the request cannot be met, or the process ended before it answered.
        Unavailable: nothing runs.
    """
    for frame in answers(device, verb, arguments):
        return frame
    raise exits.Quit(exits.UNAVAILABLE, "the process ended before it answered")
