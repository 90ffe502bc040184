"""TLS with a real broker: what works, and what each mistake is called."""

import asyncio
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint, Received, Tls
from edgeapp.uplink.mqtt import session
from edgeapp.uplink.mqtt.certificate import good_until
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.mqtt.tls import make_context
from tests.servers.certificates import Authority
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.scripted import Peer, publish, scripted
from tests.uplink.parts import ListLog

pytestmark = pytest.mark.slow

NOBODY = 65_534


class World:
    """An authority, a stranger, and what they have signed."""

    def __init__(self, openssl: str, folder: Path) -> None:
        self.folder = folder
        self.ours = Authority(openssl, folder / "ours")
        self.strange = Authority(openssl, folder / "strange")
        self.broker = self.ours.issue("broker")
        self.device = self.ours.issue("device")
        self.expired = self.ours.issue("expired", from_days=-3, to_days=-1)
        self.early = self.ours.issue("early", from_days=1, to_days=3)
        self.garbage = folder / "garbage.pem"
        self.garbage.write_bytes(b"\x00\xffneither here nor there\n")
        self.damaged = folder / "damaged.crt"
        whole = self.device.cert.read_text().splitlines()
        self.damaged.write_text("\n".join([whole[0], whole[2], whole[1], *whole[3:]]) + "\n")

    def config(self, name: str = "broker") -> tuple[str, ...]:
        """For a broker that asks every device for a certificate."""
        return (
            f"cafile {self.ours.cert}",
            f"certfile {self.folder}/ours/{name}.crt",
            f"keyfile {self.folder}/ours/{name}.key",
            "require_certificate true",
            "allow_anonymous true",
        )


@pytest.fixture(scope="module")
def world(
    system_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> World:
    openssl = system_program("openssl", "openssl")
    return World(openssl, tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def broker(
    world: World,
    system_program: Callable[[str, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    program = system_program("mosquitto", "mosquitto")
    with Mosquitto(program, tmp_path_factory.mktemp("broker"), *world.config()) as broker:
        yield broker.port


def connect(
    port: int, tls: Tls | None, *, host: str = "127.0.0.1", log: ListLog | None = None
) -> str:
    """Connect and hang up; returns the protocol.

    Raises:
        Unavailable: as the uplink gets it.
    """

    async def story() -> str:
        connector = Connector(Endpoint(host, port, tls=tls), log=log)
        connection = await connector(lambda *_: None)
        await connection.close()
        return connection.protocol

    return asyncio.run(asyncio.wait_for(story(), 30.0))


def problem(port: int, tls: Tls | None, *, host: str = "127.0.0.1") -> str:
    """What the uplink is told instead of a connection: one line."""
    with pytest.raises(Unavailable) as refused:
        connect(port, tls, host=host)
    said = str(refused.value)
    assert "\n" not in said
    return said.removeprefix(f"broker {host}:{port}: ")


def test_both_sides_show_their_certificates(world: World, broker: int) -> None:
    """And a certificate that expires tomorrow is told of."""
    log = ListLog()
    tls = Tls(world.ours.cert, world.device.cert, world.device.key)
    assert connect(broker, tls, log=log) == "5"
    ((event, facts),) = log.events
    assert event == "the certificate of this device expires: renew the file"
    assert facts["file"] == str(world.device.cert)
    assert facts["days_left"] == 1


def test_certificate_and_key_may_be_one_file(world: World, broker: int) -> None:
    both = world.folder / "both.pem"
    both.write_text(world.device.key.read_text() + world.device.cert.read_text())
    assert connect(broker, Tls(world.ours.cert, both)) == "5"


def test_nothing_below_tls_1_2_is_spoken(world: World) -> None:
    context = make_context(Tls(world.ours.cert))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_end_of_a_certificate_is_what_openssl_says_it_is(world: World) -> None:
    for pair in (world.device, world.expired, world.early):
        until = good_until(pair.cert.read_text())
        assert until is not None
        assert world.ours.end_date(pair.cert) == f"notAfter={until:%Y-%m-%d %H:%M:%S}Z"


MISTAKES: dict[str, tuple[Callable[[World], Tls | None], str]] = {
    "another authority": (
        lambda w: Tls(w.strange.cert, w.device.cert, w.device.key),
        "its certificate is of nobody in mqtt.tls.ca (",
    ),
    "the system's authorities": (
        lambda w: Tls(None, w.device.cert, w.device.key),
        "its certificate is of nobody in the system's authorities; give mqtt.tls.ca",
    ),
    "no certificate of its own": (
        lambda w: Tls(w.ours.cert),
        "it wants a certificate of this device: give mqtt.tls.cert and key",
    ),
    "an expired one of its own": (
        lambda w: Tls(w.ours.cert, w.expired.cert, w.expired.key),
        "it says that this device's certificate has expired: renew the file mqtt.tls.cert",
    ),
    "one of its own of a stranger": (
        lambda w: Tls(w.ours.cert, *w.strange.issue("intruder")),
        "is mqtt.tls.cert the right file?",
    ),
    "no TLS": (
        lambda _: None,
        "it hangs up without an answer: it is no MQTT broker, or wants mqtt.tls",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_remedy(mistake: str, world: World, broker: int) -> None:
    make, said = MISTAKES[mistake]
    assert said in problem(broker, make(world))


FILES: dict[str, tuple[Callable[[World], Tls], str]] = {
    "no such authority": (
        lambda w: Tls(w.folder / "none.pem"),
        "mqtt.tls.ca: '{}/none.pem' cannot be read: No such file or directory",
    ),
    "a folder": (
        lambda w: Tls(w.folder),
        "mqtt.tls.ca: '{}' cannot be read: Is a directory",
    ),
    "garbage for an authority": (
        lambda w: Tls(w.garbage),
        "mqtt.tls.ca: '{}/garbage.pem' holds no certificate in PEM",
    ),
    "garbage for a certificate": (
        lambda w: Tls(w.ours.cert, w.garbage, w.device.key),
        "mqtt.tls.cert: '{}/garbage.pem' holds no certificate in PEM",
    ),
    "garbage for a key": (
        lambda w: Tls(w.ours.cert, w.device.cert, w.garbage),
        "mqtt.tls.key: '{}/garbage.pem' holds no private key in PEM",
    ),
    "no such key": (
        lambda w: Tls(w.ours.cert, w.device.cert, w.folder / "none.key"),
        "mqtt.tls.key: '{}/none.key' cannot be read: No such file or directory",
    ),
    "a certificate without its key": (
        lambda w: Tls(w.ours.cert, w.device.cert),
        (
            "mqtt.tls.cert: '{}/ours/device.crt' holds no private key in PEM; "
            "if it is in another file, give mqtt.tls.key"
        ),
    ),
    "a key without its certificate": (
        lambda w: Tls(w.ours.cert, None, w.device.key),
        "mqtt.tls.key is given without mqtt.tls.cert: give both, or neither",
    ),
    "the key of another": (
        lambda w: Tls(w.ours.cert, w.device.cert, w.broker.key),
        (
            "mqtt.tls.key: '{0}/ours/broker.key' is not the key of the certificate "
            "'{0}/ours/device.crt'"
        ),
    ),
    "a key behind a pass phrase": (
        lambda w: Tls(w.ours.cert, w.device.cert, w.ours.encrypt(w.device.key)),
        (
            "mqtt.tls.key: '{}/ours/device.encrypted.key' is encrypted: "
            "store the key without a pass phrase, for this user alone"
        ),
    ),
    "a damaged certificate": (
        lambda w: Tls(w.ours.cert, w.damaged, w.device.key),
        (
            "mqtt.tls.key: '{0}/ours/device.key' cannot be used with the certificate "
            "'{0}/damaged.crt': one of them is damaged"
        ),
    ),
}


@pytest.mark.parametrize("mistake", FILES)
def test_a_file_that_cannot_be_used_is_named(mistake: str, world: World, broker: int) -> None:
    make, said = FILES[mistake]
    assert problem(broker, make(world)) == said.format(world.folder)


def test_a_key_that_may_not_be_read_is_named(world: World) -> None:
    key = world.folder / "private.key"
    shutil.copy(world.device.key, key)
    key.chmod(0)
    world.folder.chmod(0o755)
    with as_nobody(), pytest.raises(Unavailable) as refused:
        make_context(Tls(None, world.device.cert, key))
    assert "cannot be read: Permission denied" in str(refused.value)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("name", "host", "said"),
    [
        ("expired", "127.0.0.1", "its certificate has expired: renew it, if 20"),
        ("early", "127.0.0.1", "its certificate is not valid yet: renew it, if 20"),
        ("broker", "localhost", "its certificate is not for 'localhost': mqtt.host must be"),
    ],
)
def test_a_broker_whose_certificate_is_not_good_is_not_trusted(
    name: str,
    host: str,
    said: str,
    world: World,
    tmp_path: Path,
    system_program: Callable[[str, str], str],
) -> None:
    tls = Tls(world.ours.cert, world.device.cert, world.device.key)
    with Mosquitto(
        system_program("mosquitto", "mosquitto"), tmp_path, *world.config(name)
    ) as broker:
        assert said in problem(broker.port, tls, host=host)


def test_a_port_without_tls_is_told_apart(
    world: World, tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    """One that answers in plain MQTT hangs up; one that talks of itself is found out."""
    with Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path) as broker:
        said = problem(broker.port, Tls(world.ours.cert))
        assert said == "it hangs up when it is spoken to in TLS: check mqtt.port"

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n")
        await writer.drain()
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="it speaks no TLS on this port"):
            await Connector(Endpoint("127.0.0.1", port, tls=Tls(world.ours.cert)))(lambda *_: None)
        server.close()

    asyncio.run(story())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_a_broker_that_speaks_only_old_tls_is_told_apart(world: World) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(*world.broker)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, pytest.raises(ssl.SSLError):
            old.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        said = problem(listener.getsockname()[1], Tls(world.ours.cert))
        thread.join()
    assert said == "it speaks no TLS 1.2 or later: renew the broker"


def test_a_flood_in_tls_is_read_to_its_end_and_lets_others_have_their_turn(world: World) -> None:
    """TLS takes more out of the socket than was asked for, and the socket does not tell of it."""
    count = 2_000
    flood = b"".join(publish(b"a", b"x" * 20, packet_id=n % 100 + 1) for n in range(count))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*world.broker)

    async def flooding(peer: Peer) -> None:
        await peer.welcome()
        peer.send(flood)
        await peer.until_closed()

    async def story() -> None:
        per_turn = [0]

        def handle(_message: Received) -> None:
            per_turn[-1] += 1

        async with scripted(flooding, context) as port:
            endpoint = Endpoint("127.0.0.1", port, tls=Tls(world.ours.cert))
            connection = await Connector(endpoint)(lambda *_: None, on_message=handle)
            while sum(per_turn) < count:
                per_turn.append(0)
                await asyncio.sleep(0)
            await connection.close()
        assert max(per_turn[1:]) <= session._READS  # the first is all while it connected

    asyncio.run(asyncio.wait_for(story(), 30.0))


def test_files_are_read_anew_at_each_connection(world: World, broker: int) -> None:
    """A certificate that was renewed needs no restart; one that goes missing is named."""
    cert, key = world.folder / "current.crt", world.folder / "current.key"
    tls = Tls(world.ours.cert, cert, key)

    async def story() -> None:
        connect = Connector(Endpoint("127.0.0.1", broker, tls=tls))
        for pair, said in ((world.expired, "has expired"), (world.device, ""), (None, "No such")):
            if pair is None:
                cert.unlink()
            else:
                shutil.copy(pair.cert, cert)
                shutil.copy(pair.key, key)
            if said:
                with pytest.raises(Unavailable, match=said):
                    await connect(lambda *_: None)
            else:
                await (await connect(lambda *_: None)).close()

    asyncio.run(asyncio.wait_for(story(), 30.0))


def test_nobody_there_is_no_matter_of_tls(world: World) -> None:
    assert "no broker listens on that port" in problem(free_port(), Tls(world.ours.cert))
