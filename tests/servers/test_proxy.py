"""The bad network does what it is told, and nothing else."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers.mosquitto import wait_until
from tests.servers.proxy import Proxy


@contextmanager
def echo() -> Iterator[int]:
    """A server that sends back whatever it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(65_536):
                        connection.sendall(data)
                except OSError:
                    pass

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def network() -> Iterator[Proxy]:
    with echo() as port, Proxy(port, seed=3) as proxy:
        yield proxy


def connected(network: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", network.port), timeout=60.0)


def read(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        data = connection.recv(count - len(got))
        assert data, "hung up"
        got += data
    return got


def is_gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def is_cut(network: Proxy) -> bool:
    """Whether a new connection is cut, be it before we know that there is one."""
    try:
        with connected(network) as connection:
            return is_gone(connection)
    except ConnectionResetError:
        return True


def test_by_itself_it_changes_nothing(network: Proxy) -> None:
    sent = random_bytes(1_000_000)
    with connected(network) as connection:
        threading.Thread(target=connection.sendall, args=(sent,)).start()
        assert read(connection, len(sent)) == sent
    wait_until(lambda: network.told().down == len(sent), "what has passed is counted")
    told = network.told()
    assert (told.connections, told.cuts, told.corrupted) == (1, 0, 0)
    assert told.up == len(sent)


def test_a_cut_is_seen_by_every_connection_and_new_ones_can_be_made(network: Proxy) -> None:
    with connected(network) as one, connected(network) as other:
        one.sendall(b"x")
        other.sendall(b"x")
        assert read(one, 1) == read(other, 1) == b"x"
        network.cut()
        assert is_gone(one)
        assert is_gone(other)
    with connected(network) as again:
        again.sendall(b"y")
        assert read(again, 1) == b"y"
    assert network.told().cuts == 2


def test_it_cuts_again_and_again_until_it_is_healed(network: Proxy) -> None:
    network.cut_every(0.001, 0.01)
    for _ in range(3):
        assert is_cut(network)
    network.heal()
    with connected(network) as connection:
        connection.sendall(b"x")
        assert read(connection, 1) == b"x"


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_what_stalls_is_held_and_comes_after_all(network: Proxy, direction: str) -> None:
    with connected(network) as connection:
        network.stall(direction)  # type: ignore[arg-type]  # one of the three
        connection.sendall(b"held")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        with connected(network):
            pass  # a black hole takes connections
        network.heal()
        connection.settimeout(60.0)
        assert read(connection, 4) == b"held"


def test_a_delay_delays_each_byte_once(network: Proxy) -> None:
    """Many pieces together take no longer than one."""
    network.delay(1.0, "up")
    with connected(network) as connection:
        began_s = time.monotonic()
        for _ in range(20):
            connection.sendall(b"x")
            time.sleep(0.005)
        assert read(connection, 20) == b"x" * 20
        took_s = time.monotonic() - began_s
    assert 1.0 <= took_s < 20 * 1.0


def test_a_slow_link_takes_its_time(network: Proxy) -> None:
    network.slow(50_000, "down")
    with connected(network) as connection:
        began_s = time.monotonic()
        connection.sendall(bytes(10_000))
        read(connection, 10_000)
        assert time.monotonic() - began_s >= 0.15


def test_about_as_many_bytes_are_changed_as_was_asked_for(network: Proxy) -> None:
    sent = bytes(200_000)
    network.corrupt(1_000, "up")
    with connected(network) as connection:
        threading.Thread(target=connection.sendall, args=(sent,)).start()
        got = read(connection, len(sent))
    changed = sum(byte != 0 for byte in got)
    assert changed == network.told().corrupted
    assert 100 <= changed <= 400


def test_it_refuses_until_it_is_healed_and_listens_on_the_same_port(network: Proxy) -> None:
    with connected(network) as before:
        before.sendall(b"w")
        assert read(before, 1) == b"w"
        network.refuse()
        with pytest.raises(ConnectionRefusedError):
            connected(network)
        before.sendall(b"x")
        assert read(before, 1) == b"x"
    network.heal()
    with connected(network) as connection:
        connection.sendall(b"y")
        assert read(connection, 1) == b"y"


def test_a_server_that_is_not_there_is_a_hang_up() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with Proxy(nobody.getsockname()[1]) as network:
            assert is_cut(network)


def random_bytes(count: int) -> bytes:
    import random

    return random.Random(1).randbytes(count)
