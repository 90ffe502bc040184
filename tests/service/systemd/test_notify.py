"""What systemd is told: a socket of the test stands in for it."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from edgeapp.service.systemd.notify import MOST_STATUS_CHARACTERS, Notifier, from_environment


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


Make = Callable[..., Notifier]


@pytest.fixture
def notifier_to() -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(closing(Notifier(*args, **kwargs)))


def heard(manager: socket.socket) -> dict[str, str]:
    datagram = manager.recv(65_536).decode()
    return dict(line.split("=", 1) for line in datagram.splitlines())


def test_each_state_is_one_datagram(manager: socket.socket, notifier_to: Make) -> None:
    notifier = notifier_to(manager.getsockname(), watchdog_s=15)
    notifier.ready()
    notifier.alive()
    notifier.stuck()
    notifier.starting_takes(30)
    notifier.stopping()
    assert [heard(manager) for _ in range(5)] == [
        {"READY": "1"},
        {"WATCHDOG": "1"},
        {"WATCHDOG": "trigger"},
        {"EXTEND_TIMEOUT_USEC": "30000000"},
        {"STOPPING": "1"},
    ]


def test_a_status_is_one_line_and_bounded(manager: socket.socket, notifier_to: Make) -> None:
    """Else a pipeline's name could say READY=1 in a line of its own."""
    notifier = notifier_to(manager.getsockname())
    notifier.status("hall waiting\nREADY=1")
    notifier.status("x" * 10_000)
    assert heard(manager) == {"STATUS": "hall waiting READY=1"}
    assert len(heard(manager)["STATUS"]) == MOST_STATUS_CHARACTERS


def test_a_reload_begins_and_ends_also_when_it_is_refused(
    manager: socket.socket, notifier_to: Make
) -> None:
    notifier = notifier_to(manager.getsockname())
    notifier.ready()
    with pytest.raises(ValueError, match="refused"), notifier.reloading():
        raise ValueError("refused")
    assert heard(manager) == {"READY": "1"}
    began = heard(manager)
    assert began["RELOADING"] == "1"
    assert int(began["MONOTONIC_USEC"]) > 0
    assert heard(manager) == {"READY": "1"}


def test_a_reload_during_the_start_is_not_told(manager: socket.socket, notifier_to: Make) -> None:
    """Its end would be taken for the end of the start."""
    notifier = notifier_to(manager.getsockname())
    with notifier.reloading():
        pass
    notifier.alive()
    assert heard(manager) == {"WATCHDOG": "1"}


def test_abstract_sockets_are_reached(notifier_to: Make) -> None:
    name = f"edgeapp-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(5)
        assert notifier_to(f"@{name}").ready()
        assert heard(listening) == {"READY": "1"}


def test_a_manager_that_does_not_read_holds_nobody_up(
    manager: socket.socket, notifier_to: Make
) -> None:
    """Datagrams that find no room are left out, at once."""
    notifier = notifier_to(manager.getsockname())
    sent = [notifier.alive() for _ in range(10_000)]
    assert sent[0]
    assert not sent[-1]


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody-listens"])
def test_where_nobody_listens_nothing_happens(address: str, notifier_to: Make) -> None:
    notifier = notifier_to(address)
    assert not notifier.ready()
    with notifier.reloading():
        pass


def test_children_inherit_nothing_of_it() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "15000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/root",
    }
    with closing(from_environment(environment)) as notifier:
        assert notifier.watchdog_s == 15
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize(
    ("usec", "pid"),
    [("15000000", "1"), ("", ""), ("0", ""), ("soon", ""), ("-5", ""), ("15000000", "x")],
)
def test_no_sign_of_life_is_owed_where_none_is_asked_of_us(usec: str, pid: str) -> None:
    """`WATCHDOG_PID` may name another process, whose child we are."""
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    with closing(from_environment(environment)) as notifier:
        assert notifier.watchdog_s is None
