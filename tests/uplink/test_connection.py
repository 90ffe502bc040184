"""One connection to a broker that does what a real one would do only on a bad day."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.secret import Secret
from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint, Extra, Publication, Received, Refusal
from edgeapp.uplink.mqtt import session
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.mqtt.session import MqttConnection
from edgeapp.uplink.mqtt.versions import AGAIN_S
from tests.servers.scripted import (
    CONNACK_5,
    CONNACK_311,
    DISCONNECT,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    Handler,
    Packet,
    Peer,
    field,
    framed,
    puback,
    publish,
    scripted,
    suback,
)
from tests.uplink.parts import ListLog

PLAIN = Publication("t", b"hello", retain=False)
OLD_CONNACK = b"\x20\x02\x00\x01"  # as a broker of 3.1.1 refuses another version


def run(handler: Handler, story: Callable[[int], Awaitable[None]]) -> None:
    """Play a story against a broker; it must be over in reasonable time."""

    async def both() -> None:
        async with scripted(handler) as port:
            await story(port)

    asyncio.run(asyncio.wait_for(both(), 30.0))


def connector(port: int, **more: object) -> Connector:
    return Connector(Endpoint("127.0.0.1", port), client_id="dev", **more)  # type: ignore[arg-type]  # passed on


async def connect(port: int, **more: object) -> MqttConnection:
    return await connector(port, **more)(lambda _packet_id, _refusal: None)


async def until_closed(peer: Peer) -> None:
    await peer.welcome()
    await peer.until_closed()


# What a broker may answer to a CONNECT


@pytest.mark.parametrize("answer", [OLD_CONNACK, b"\x20\x03\x00\x84\x00"], ids=["1", "132"])
def test_a_broker_that_refuses_5_is_spoken_to_in_3_1_1_and_at_once_the_next_time(
    answer: bytes,
) -> None:
    versions: list[int] = []

    async def old(peer: Peer) -> None:
        versions.append((await peer.read()).version)
        peer.send(CONNACK_311 if versions[-1] == 4 else answer)
        await peer.until_closed()

    async def story(port: int) -> None:
        clock = FakeClock()
        connect = connector(port, clock=clock)
        for _ in range(2):
            connection = await connect(lambda *_: None)
            assert connection.protocol == "3.1.1"
            await connection.close()
        clock.advance(AGAIN_S)
        await (await connect(lambda *_: None)).close()

    run(old, story)
    assert versions == [5, 4, 4, 5, 4]


@pytest.mark.parametrize("silent", [True, False], ids=["silence", "hang-up"])
def test_a_broker_that_meets_5_with_silence_or_a_hang_up_is_asked_three_times(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = MqttConnection.open

    async def patient(self: MqttConnection) -> None:
        """Only where it is to be silent, its silence is soon noticed."""
        monkeypatch.setattr(session, "ANSWER_S", 0.1 if self.protocol == "5" else 30.0)
        await opened(self)

    monkeypatch.setattr(MqttConnection, "open", patient)
    versions: list[int] = []

    async def old(peer: Peer) -> None:
        versions.append((await peer.read()).version)
        if versions[-1] == 4:
            peer.send(CONNACK_311)
        if silent or versions[-1] == 4:
            await peer.until_closed()

    async def story(port: int) -> None:
        connect = connector(port)
        for _ in range(4):
            connection = await connect(lambda *_: None)
            assert connection.protocol == "3.1.1"
            await connection.close()

    run(old, story)
    assert versions == [5, 4, 5, 4, 5, 4, 4]


def test_a_broker_that_spoke_5_and_hangs_up_once_is_not_spoken_to_in_3_1_1() -> None:
    versions: list[int] = []

    async def restarting(peer: Peer) -> None:
        connect = await peer.read()
        versions.append(connect.version)
        if len(versions) != 2:
            peer.send(CONNACK_5)
            await peer.until_closed()

    async def story(port: int) -> None:
        connect = connector(port)
        await (await connect(lambda *_: None)).close()
        with pytest.raises(Unavailable, match="hangs up without an answer"):
            await connect(lambda *_: None)
        await (await connect(lambda *_: None)).close()

    run(restarting, story)
    assert versions == [5, 5, 5]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "hangs up without an answer: it is no MQTT broker, or wants mqtt.tls"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "hangs up without an answer"),
        (b"\x20\x03\x00\x84\x00", "it does not know MQTT 5; in 3.1.1: what the broker sent is not"),
        (b"\x20\x00", "what the broker sent is not MQTT"),
        (b"\x20\x03\x00\x86\x00", "give mqtt.username and mqtt.password"),
        (b"\x20\x03\x00\x88\x00", "it refuses the connection: Server unavailable"),
        (b"\x20\x03\x00\x9a\x00", "it refuses the connection: Retain not supported"),
        (b"\xe0\x01\x8b", "the broker shuts down"),
    ],
)
def test_an_answer_that_is_no_welcome_is_one_sentence(answer: bytes, said: str) -> None:
    async def grumpy(peer: Peer) -> None:
        await peer.read()
        peer.send(answer)

    async def story(port: int) -> None:
        with pytest.raises(Unavailable) as refused:
            await connect(port)
        assert f"broker 127.0.0.1:{port}: " in str(refused.value)
        assert said in str(refused.value)

    run(grumpy, story)


def test_a_broker_that_is_silent_is_told_apart_from_one_that_hangs_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 0.1)

    async def story(port: int) -> None:
        with pytest.raises(Unavailable, match="takes the connection but does not answer"):
            await connect(port)

    run(lambda peer: peer.until_closed(), story)


def test_what_the_broker_allows_is_known_and_what_we_allow_is_told() -> None:
    """Receive Maximum and Maximum Packet Size, both ways."""
    seen: list[Packet] = []

    async def strict(peer: Peer) -> None:
        seen.append(await peer.welcome(b"\x21\x00\x05\x27\x00\x00\x10\x00"))
        await peer.until_closed()

    async def story(port: int) -> None:
        connection = await connect(port)
        assert (connection.receive_maximum, connection.max_packet_bytes) == (5, 4096)
        await connection.close()

    run(strict, story)
    properties = seen[0].body[11 : 11 + seen[0].body[10]]
    assert b"\x27\x00\x20\x00\x00" in properties  # 2 MiB
    assert b"\x21\x00\x64" in properties
    assert seen[0].body[7] & 0x02  # a clean start


# Sending


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (None, None),
        (0x00, None),
        (0x10, None),
        (0x80, Refusal("the broker does not say why", for_good=False)),
        (0x83, Refusal("the broker cannot take it now", for_good=False)),
        (
            0x87,
            Refusal(
                "not authorised to publish on this topic: see the broker's access rules",
                for_good=True,
            ),
        ),
        (0x90, Refusal("the broker takes no such topic", for_good=True)),
        (0x91, Refusal("the number of its packet is in use", for_good=False)),
        (0x97, Refusal("the broker's quota is exceeded", for_good=False)),
        (0x99, Refusal("the broker refuses the payload's format", for_good=True)),
    ],
)
def test_a_refusal_says_why_and_whether_for_good(code: int | None, refusal: Refusal | None) -> None:
    async def judge(peer: Peer) -> None:
        await peer.welcome()
        peer.send(puback((await peer.read_until(PUBLISH)).packet_id, code))
        await peer.until_closed()

    async def story(port: int) -> None:
        answered: asyncio.Future[tuple[int, Refusal | None]] = asyncio.Future()
        connection = await connector(port)(
            lambda packet_id, refusal: answered.set_result((packet_id, refusal))
        )
        ids = connection.send([PLAIN])
        assert await answered == (ids[0], refusal)
        await connection.close()

    run(judge, story)


def test_what_only_mqtt_5_can_say_is_left_out_where_3_1_1_is_spoken() -> None:
    bodies: list[bytes] = []
    extra = Extra(60, "image/jpeg", b"\x01\x02", (("id", "dev/1/2"),))

    async def either(peer: Peer) -> None:
        connect = await peer.read()
        if connect.version == 5 and bodies:
            peer.send(OLD_CONNACK)
            return
        peer.send(CONNACK_5 if connect.version == 5 else CONNACK_311)
        bodies.append((await peer.read_until(PUBLISH)).body)
        await peer.until_closed()

    async def story(port: int) -> None:
        for count in (1, 2):
            connection = await connect(port)
            connection.send([Publication("t", b"hello", retain=False, extra=extra)])
            while len(bodies) < count:
                await asyncio.sleep(0)
            await connection.close()

    run(either, story)
    head = field(b"t") + b"\x00\x01"
    properties = (
        b"\x02\x00\x00\x00\x3c"
        + (b"\x03" + field(b"image/jpeg"))
        + (b"\x09" + field(b"\x01\x02"))
        + (b"\x26" + field(b"id") + field(b"dev/1/2"))
    )
    assert bodies[0] == head + bytes((len(properties),)) + properties + b"hello"
    assert bodies[1] == head + b"hello"


def test_a_packet_id_that_is_in_use_is_passed_over() -> None:
    """65,535 packets later: an unanswered message keeps its id, and none is swallowed."""

    async def selective(peer: Peer) -> None:
        await peer.welcome()
        while True:
            packet = await peer.read_until(PUBLISH)
            if packet.packet_id != 1:
                peer.send(puback(packet.packet_id))

    async def story(port: int) -> None:
        answered: list[int] = []
        connection = await connector(port)(lambda packet_id, _: answered.append(packet_id))
        connection.send([PLAIN])
        connection._paho._last_mid = 65_534
        ids = connection.send([PLAIN] * 3)
        assert ids == [65_535, 2, 3]
        while answered != ids:
            await asyncio.sleep(0)
        await connection.close()

    run(selective, story)


def test_a_socket_that_takes_no_more_is_waited_for_and_order_is_kept() -> None:
    """64 MB into a broker that reads only later."""
    go = asyncio.Event()
    numbers: list[bytes] = []

    async def late(peer: Peer) -> None:
        await peer.welcome()
        await go.wait()
        for _ in range(64):
            packet = await peer.read_until(PUBLISH)
            numbers.append(packet.body[6:8])
            peer.send(puback(packet.packet_id))
        await peer.until_closed()

    async def story(port: int) -> None:
        answered: list[int] = []
        connection = await connector(port)(lambda packet_id, _: answered.append(packet_id))
        ids = connection.send(
            [Publication("t", b"%02d" % n + bytes(1_000_000), retain=False) for n in range(64)]
        )
        await asyncio.sleep(0.05)
        go.set()
        while answered != ids:
            await asyncio.sleep(0.001)
        await connection.close()

    run(late, story)
    assert numbers == [b"%02d" % n for n in range(64)]


def test_closing_says_goodbye_and_is_idempotent() -> None:
    kinds: list[int] = []

    async def polite(peer: Peer) -> None:
        await peer.welcome()
        kinds.append((await peer.read()).kind)

    async def story(port: int) -> None:
        connection = await connect(port)
        await connection.close()
        assert connection.lost.result() == "closed"
        await connection.close()
        while not kinds:
            await asyncio.sleep(0)

    run(polite, story)
    assert kinds == [DISCONNECT]


def test_closing_gives_up_on_a_socket_that_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "GOODBYE_S", 0.05)
    over = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.welcome()
        await over.wait()

    async def story(port: int) -> None:
        connection = await connect(port)
        connection.send([Publication("t", bytes(16_000_000), retain=False)])
        await connection.close()
        assert connection._sock.fileno() == -1
        over.set()

    run(deaf, story)


# Receiving


def test_messages_come_with_all_that_mqtt_5_says_of_them() -> None:
    asked: list[bytes] = []
    properties = b"\x08" + field(b"answers/here") + b"\x09" + field(b"\x00\xff")

    async def commanding(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.read_until(SUBSCRIBE)
        asked.append(subscribe.body)
        peer.send(suback(subscribe.packet_id, 1))
        peer.send(publish(b"p/set", b"ON", retain=True))
        peer.send(publish(b"p/set", b"\xff\xfe", packet_id=2, properties=properties))
        assert (await peer.read_until(PUBACK)).packet_id == 1
        assert (await peer.read_until(PUBACK)).packet_id == 2
        await peer.until_closed()

    async def story(port: int) -> None:
        got: list[Received] = []
        connection = await connector(port)(
            lambda *_: None, filters=["p/set"], on_message=got.append
        )
        while len(got) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        await connection.close()
        assert got == [
            Received("p/set", b"ON", retain=True),
            Received("p/set", b"\xff\xfe", False, "answers/here", b"\x00\xff"),
        ]

    run(commanding, story)
    assert asked == [b"\x00\x01\x00" + field(b"p/set") + b"\x09"]  # QoS 1, retain as published


def test_messages_come_in_3_1_1_too() -> None:
    asked: list[bytes] = []

    async def old(peer: Peer) -> None:
        connect = await peer.read()
        peer.send(CONNACK_311 if connect.version == 4 else OLD_CONNACK)
        subscribe = await peer.read_until(SUBSCRIBE)
        asked.append(subscribe.body)
        peer.send(suback(subscribe.packet_id, 1, v5=False))
        peer.send(publish(b"p/set", b"ON", properties=None))
        await peer.until_closed()

    async def story(port: int) -> None:
        got: list[Received] = []
        connection = await connector(port)(
            lambda *_: None, filters=["p/set"], on_message=got.append
        )
        while not got:
            await asyncio.sleep(0)
        await connection.close()
        assert got == [Received("p/set", b"ON", retain=False)]

    run(old, story)
    assert asked == [b"\x00\x01" + field(b"p/set") + b"\x01"]


def test_a_filter_that_is_refused_is_logged_by_name_and_ends_nothing() -> None:
    async def choosy(peer: Peer) -> None:
        await peer.welcome()
        for code in (0x87, 0x01, 0x80):
            peer.send(suback((await peer.read_until(SUBSCRIBE)).packet_id, code))
        peer.send(publish(b"b", b"1"))
        await peer.until_closed()

    async def story(port: int) -> None:
        log = ListLog()
        got: list[Received] = []
        connection = await connector(port, log=log)(
            lambda *_: None, filters=["a", "b"], on_message=got.append
        )
        connection.subscribe(["c", "d/#/e"])
        while not got:
            await asyncio.sleep(0)
        assert not connection.lost.done()
        await connection.close()
        assert log.events == [
            (REFUSED, {"filter": "d/#/e", "reason": "Invalid subscription filter."}),
            (REFUSED, {"filter": "a", "reason": "Not authorized"}),
            (REFUSED, {"filter": "c", "reason": "Unspecified error"}),
        ]

    run(choosy, story)


REFUSED = "the broker refuses a subscription"


def test_a_handler_that_fails_is_logged_and_ends_nothing() -> None:
    async def twice(peer: Peer) -> None:
        await peer.welcome()
        peer.send(publish(b"a", b"1") + publish(b"a", b"2", packet_id=2))
        await peer.until_closed()

    async def story(port: int) -> None:
        log = ListLog()
        got: list[bytes] = []

        def handle(message: Received) -> None:
            got.append(message.payload)
            raise RuntimeError("no good")

        connection = await connector(port, log=log)(lambda *_: None, on_message=handle)
        while len(got) < 2:
            await asyncio.sleep(0)
        assert not connection.lost.done()
        await connection.close()
        facts = {"topic": "a", "error": "RuntimeError('no good')"}
        assert log.events == [("a message was not handled", facts)] * 2

    run(twice, story)


def test_a_flood_of_messages_lets_others_have_their_turn() -> None:
    """However much there is to read, few are handled between two turns of the event loop."""
    count = 1_000
    flood = b"".join(publish(b"a", b"x" * 20, packet_id=n % 100 + 1) for n in range(count))

    async def flooding(peer: Peer) -> None:
        await peer.welcome()
        peer.send(flood)
        await peer.until_closed()

    async def story(port: int) -> None:
        handled = 0
        per_turn = [0]

        def handle(_message: Received) -> None:
            nonlocal handled
            handled += 1
            per_turn[-1] += 1

        connection = await connector(port)(lambda *_: None, on_message=handle)
        while handled < count:
            per_turn.append(0)
            await asyncio.sleep(0)
        # While it was connected the loop turned more than once.
        assert max(per_turn[1:]) <= session._READS
        assert len(connection._paho._in_messages) == 0
        await connection.close()

    run(flooding, story)


# What no broker would do


async def send_then_wait(peer: Peer, data: bytes) -> None:
    await peer.welcome()
    peer.send(data)
    await peer.until_closed()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xf0\x00", "what the broker sent is not MQTT"),
        (b"\x20\x01\x00", "what the broker sent is not MQTT"),
        (b"\x40\x00", "what the broker sent is not MQTT"),
        (b"\x32\x05\xff\xff123", "what the broker sent is not MQTT"),
        (b"\x30\xff\xff\xff\xff\xff", "what the broker sent is not MQTT"),
        (b"\x30\x80\x80\x80\x02\x00\x01", "the broker sends a packet of 4,194,304 bytes"),
        (b"\x34\x08\x00\x01a\x00\x07\x00xy", "by QoS 2"),
        (b"\xe0\x01\x8e", "give each device a name of its own"),
        (b"\xe0\x00", "the broker ended it"),
        (b"\xe0\x01\x8b", "the broker shuts down"),
    ],
)
def test_what_makes_no_sense_ends_the_connection_with_a_sentence(data: bytes, said: str) -> None:
    async def story(port: int) -> None:
        connection = await connect(port)
        assert said in await connection.lost
        await connection.close()

    run(lambda peer: send_then_wait(peer, data), story)


def test_a_topic_that_is_no_text_is_no_message() -> None:
    async def story(port: int) -> None:
        got: list[Received] = []
        connection = await connector(port)(lambda *_: None, on_message=got.append)
        assert "cannot be read" in await connection.lost
        await connection.close()
        assert got == []

    run(lambda peer: send_then_wait(peer, publish(b"\xff\xfe", b"1")), story)


def test_a_broker_that_sends_and_never_reads_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the acknowledgements that it does not take would pile up."""
    monkeypatch.setattr(session, "MOST_UNREAD", 50)
    over = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.welcome()
        while not over.is_set():
            peer.send(publish(b"a", b"x") * 100)
            await asyncio.wait(
                (asyncio.ensure_future(over.wait()), wrote(peer)), return_when="FIRST_COMPLETED"
            )

    async def story(port: int) -> None:
        connection = await connect(port)
        connection.send([Publication("t", bytes(16_000_000), retain=False)])
        assert await connection.lost == "the broker sends, but does not read"
        over.set()
        await connection.close()

    run(deaf, story)


def wrote(peer: Peer) -> "asyncio.Future[None]":
    return asyncio.ensure_future(peer.writer.drain())


def junk(chance: random.Random) -> bytes:
    """Noise, a packet with noise in it, or a packet with a few bits turned over."""
    kind = chance.randrange(3)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 40))
    if kind == 1:
        return framed(chance.randrange(256), chance.randbytes(chance.randrange(20)))
    packet = bytearray(chance.choice(GOOD_PACKETS))
    for _ in range(chance.randrange(1, 4)):
        packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
    return bytes(packet)


SEEDS = [*range(5), *(pytest.param(n, marks=pytest.mark.slow) for n in range(5, 60))]
GOOD_PACKETS = (
    publish(b"a/b", b"payload", properties=b"\x08" + field(b"r") + b"\x09" + field(b"c")),
    publish(b"a/b", b"payload", properties=None),
    puback(1, 0),
    suback(1, 1),
    framed(0xD0, b""),
    framed(0xE0, b"\x00\x00"),
    framed(0x50, b"\x00\x01"),
    framed(0x62, b"\x00\x01"),
    framed(0x70, b"\x00\x01"),
    framed(0xB0, b"\x00\x01\x00\x00"),
    CONNACK_5,
    CONNACK_311,
)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_bytes_never_do_more_than_end_the_connection(seed: int, version: str) -> None:
    chance = random.Random(seed)

    async def noisy(peer: Peer) -> None:
        connect = await peer.read()
        if connect.version == 5 and version != "5":
            peer.send(OLD_CONNACK)
            return
        peer.send(CONNACK_5 if connect.version == 5 else CONNACK_311)
        for _ in range(50):
            peer.send(junk(chance))
            await asyncio.sleep(0)

    async def story(port: int) -> None:
        trouble: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: trouble.append(what))
        connection = await connector(port)(
            lambda *_: None, filters=["a/#"], on_message=lambda _: None
        )
        assert connection.protocol == version
        connection.send([PLAIN] * 3)
        reason = await connection.lost
        assert reason
        assert "\n" not in reason
        await connection.close()
        assert trouble == []
        assert connection._sock.fileno() == -1

    run(noisy, story)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_bytes_for_a_welcome_are_one_sentence_or_none(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 0.02)
    chance = random.Random(seed)

    async def noisy(peer: Peer) -> None:
        await peer.read()
        peer.send(junk(chance))
        if chance.random() < 0.5:
            await peer.until_closed()

    async def story(port: int) -> None:
        trouble: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: trouble.append(what))
        said = ""
        try:
            connection = await connect(port)
        except Unavailable as error:
            said = str(error)
        else:
            await connection.close()
        assert "\n" not in said
        assert trouble == []

    run(noisy, story)


# Not waiting


def test_giving_up_does_not_wait_for_a_name_that_is_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stop is prompt, and what comes of it later is closed again."""
    import socket
    import threading

    looked_up, closed = threading.Event(), threading.Event()
    begun = threading.Event()

    class Found(socket.socket):
        def close(self) -> None:
            super().close()
            closed.set()

    def slow(*_: object, **__: object) -> socket.socket:
        begun.set()
        looked_up.wait(20)
        return Found()

    monkeypatch.setattr(socket, "create_connection", slow)

    async def story() -> None:
        connecting = asyncio.ensure_future(connect(1))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        connecting.cancel()
        await asyncio.wait((connecting,))
        assert connecting.cancelled()
        assert not looked_up.is_set()

    asyncio.run(story())  # which waits for the threads of its own that run
    assert not looked_up.is_set()
    looked_up.set()
    assert closed.wait(20)


def test_giving_up_while_the_broker_thinks_closes_the_socket() -> None:
    gone = asyncio.Event()
    came = asyncio.Event()

    async def thinking(peer: Peer) -> None:
        await peer.read()
        came.set()
        await peer.until_closed()
        gone.set()

    async def story(port: int) -> None:
        connecting = asyncio.ensure_future(connect(port))
        await came.wait()
        connecting.cancel()
        await asyncio.wait((connecting,))
        await gone.wait()

    run(thinking, story)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("hunter2\nhunter3", "line break or control character"),
        ("hunter2\x07", "line break or control character"),
        ("hunter2" * 10_000, "has 70,000 bytes"),
        ("hunter2\udcff", "is not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("option", ["username", "password"])
def test_a_secret_that_a_connect_cannot_hold_is_one_sentence_without_it(
    monkeypatch: pytest.MonkeyPatch, option: str, secret: str, why: str
) -> None:
    """And not ten seconds of silence, after which the broker is to blame."""
    given = {"username": "me", "password": "pass", option: secret}
    reveal = Secret.reveal

    def revealed(self: Secret, *, hide: bool = True) -> str:
        return reveal(self, given, hide=hide)

    monkeypatch.setattr(Secret, "reveal", revealed)
    endpoint = Endpoint("127.0.0.1", 1, Secret("env:username"), Secret("env:password"))

    with pytest.raises(Unavailable, match=why) as caught:
        asyncio.run(Connector(endpoint)(lambda _packet_id, _refusal: None))
    assert f"mqtt.{option}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
