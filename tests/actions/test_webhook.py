"""Webhooks, against real servers on the loopback: good, slow, rude, gone, and with TLS."""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest

from edgeapp.actions._http import Endpoint
from edgeapp.actions.webhook import Webhook, WebhookOptions
from edgeapp.api import BadPacket, Detections, Event, Packet, Score, Stopping, Unavailable
from edgeapp.core.clock import Clock, FakeClock, MonotonicClock
from edgeapp.testing.stage import context
from tests.actions.leaping import Leaping

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "Content-Length: 0", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@dataclass
class Server:
    """Plays a part on each connection: answers with bytes, or does what a function says."""

    parts: list[bytes | Callable[[socket.socket], None]]
    port: int = 0
    requests: list[tuple[list[str], bytes]] = field(default_factory=list)
    """Of each: the lines of its head, and its body."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/s3cret-path?key=s3cret-key"


@contextmanager
def serving(
    *parts: bytes | Callable[[socket.socket], None], tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    server, over = Server(list(parts)), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.port = listening.getsockname()[1]

        def serve() -> None:
            while not over.is_set():
                with suppress(OSError):
                    connection, _ = listening.accept()
                    if over.is_set():
                        connection.close()
                        return
                    if tls is not None:
                        connection = tls.wrap_socket(connection, server_side=True)
                    with connection:
                        serve_one(server, connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server
        over.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            pass
        thread.join(5)


def serve_one(server: Server, connection: socket.socket) -> None:
    connection.settimeout(10)
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(4096)):
            return
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    (length,) = [int(line.split(":")[1]) for line in lines if line.startswith("Content-Length")]
    while len(body) < length:
        body += connection.recv(4096)
    server.requests.append((lines, body))
    part = server.parts.pop(0) if len(server.parts) > 1 else server.parts[0]
    if callable(part):
        part(connection)
    else:
        connection.sendall(part)


def hook(url: str, clock: Clock | None = None, **options: Any) -> Webhook:
    checked = WebhookOptions.model_validate({"url": url, **options})
    return Webhook(checked, context("tell", clock=clock or FakeClock()))


def packet(value: Any, seq: int = 7) -> Packet[Any]:
    return Packet(value, "camera", 0, seq, 0, 1_500_000_000, 0, 0, 0, ())


EVENT = packet(
    Event("new", "people-1", "track", "person", 500_000_000, 0.87, facts={"zone": "door"})
)


def test_a_few_facts_arrive_as_json() -> None:
    with serving(OK) as server:
        hook(server.url, headers={"X-Room": "12"}).act(EVENT)
    ((head, body),) = server.requests
    assert head[0] == "POST /hook/s3cret-path?key=s3cret-key HTTP/1.1"
    assert {"Content-Type: application/json", "X-Room: 12", f"Host: 127.0.0.1:{server.port}"} < set(
        head
    )
    assert json.loads(body) == {
        "pipeline": "test", "stage": "tell", "origin": "camera", "seq": 7, "time_s": 1.5,
        "event": "people-1", "phase": "new", "kind": "track", "label": "person", "score": 0.87,
        "began_s": 0.5, "zone": "door",
    }  # fmt: skip


def test_a_number_that_is_none_is_null() -> None:
    with serving(OK) as server:
        hook(server.url).act(packet(Score(float("nan"))))
    assert json.loads(server.requests[0][1])["score"] is None


def test_detections_tell_their_best_and_their_number() -> None:
    found = Detections(
        np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int32), ("cat",)
    )
    with serving(OK) as server:
        hook(server.url, method="PUT").act(packet(found))
    (head, body) = server.requests[0]
    assert head[0].startswith("PUT ")
    assert (json.loads(body)["label"], json.loads(body)["count"]) == ("cat", 1)


def key_of(head: list[str]) -> str:
    return next(line for line in head if line.startswith("Idempotency-Key"))


def test_it_is_sent_again_until_the_server_takes_it() -> None:
    """A hung-up connection and two kinds of «later»; all with the same key, the next with its own."""
    with serving(lambda _connection: None, answer(503), answer(429), OK) as server:
        stage = hook(server.url, retries=3)
        stage.act(EVENT)
        stage.act(EVENT._replace(seq=8))
    keys = [key_of(head) for head, _ in server.requests]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert len(set(keys)) == 2


def test_the_pauses_grow_and_end_at_the_deadline() -> None:
    clock = FakeClock()
    with serving(answer(500)) as server, pytest.raises(BadPacket, match="status 500"):
        hook(server.url, clock, retries=10, limit_s=8).act(EVENT)
    assert 3 <= len(server.requests) <= 5
    assert clock.now_ns() < 8e9


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (answer(404), "answered with status 404"),
        (answer(302, "Location: http://127.0.0.1:1/elsewhere"), "redirects .status 302., which"),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(part: bytes, problem: str) -> None:
    with serving(part) as server, pytest.raises(BadPacket, match=problem) as told:
        hook(server.url).act(EVENT)
    assert told.value.reason == "refused"
    assert len(server.requests) == 1


def silent(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1)


def dripping(connection: socket.socket) -> None:
    """A byte now and then, for ever: no single read times out."""
    with suppress(OSError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)


def endless(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(65_536))


def resetting(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("part", [silent, dripping])
def test_the_time_limit_holds(part: Callable[[socket.socket], None]) -> None:
    began = time.monotonic()
    with serving(part) as server, pytest.raises(BadPacket, match="did not answer in time") as told:
        hook(server.url, MonotonicClock(), limit_s=0.3).act(EVENT)
    assert told.value.reason == "undelivered"
    assert time.monotonic() - began < 30


def test_a_server_that_says_yes_and_then_dawdles_has_said_yes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sending again would be twice; and the time limit holds all the same."""
    clock = Leaping(monkeypatch)

    def dawdling(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            clock.leap(300)
            dripping(connection)

    began = time.monotonic()
    with serving(dawdling) as server:
        hook(server.url, MonotonicClock(), limit_s=300).act(EVENT)
    assert time.monotonic() - began < 30
    assert len(server.requests) == 1


def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    with serving(endless) as server:
        hook(server.url, MonotonicClock(), limit_s=20).act(EVENT)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "part",
    [resetting, b"", b"\x00\xff" * 100, b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"],
)
def test_a_rude_server_is_a_counted_drop(part: Any) -> None:
    with serving(part) as server, pytest.raises(BadPacket, match="cannot be reached") as told:
        hook(server.url, retries=1).act(EVENT)
    assert told.value.reason == "undelivered"
    assert len(server.requests) == 2


def test_nobody_there_and_no_such_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(BadPacket, match=f"http://127.0.0.1:{port} cannot be reached"):
        hook(f"http://127.0.0.1:{port}/", retries=0).act(EVENT)
    with pytest.raises(BadPacket, match=r"cannot be reached|in time"):
        hook("http://no-such-host.invalid/", retries=0).act(EVENT)


def test_a_name_that_takes_for_ever_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's look-up has no limit; and there is never more than one of them."""
    release = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: release.wait(30) and [])
    stage = hook("http://slow.example/", MonotonicClock(), retries=0, limit_s=0.1)
    with pytest.raises(BadPacket, match="did not answer in time"):
        stage.act(EVENT)
    with pytest.raises(BadPacket, match="still being looked up"):
        stage.act(EVENT)
    release.set()


# -- secrets --------------------------------------------------------------------------------------


def test_a_stop_does_not_wait_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither for the one that is being asked nor for all that wait behind it."""
    monkeypatch.setattr("edgeapp.actions._last_words._STOP_S", 0.1)
    began = time.monotonic()
    with serving(silent) as server:
        around = context("tell", clock=MonotonicClock())
        checked = WebhookOptions.model_validate({"url": server.url, "limit_s": 300})
        stage = Webhook(checked, around)
        timer = threading.Timer(0.1, around.stopping.set)
        timer.start()
        with pytest.raises((BadPacket, Stopping)):
            stage.act(EVENT)
        for _ in range(16):
            with pytest.raises(Stopping):
                stage.act(EVENT)
        timer.join()
    assert time.monotonic() - began < 30


def test_a_stop_does_not_wait_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeapp.actions._last_words._STOP_S", 0.1)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:  # further ones hear nothing
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        around = context("tell", clock=MonotonicClock())
        url = f"http://127.0.0.1:{port}/"
        checked = WebhookOptions.model_validate({"url": url, "limit_s": 300, "retries": 0})
        began = time.monotonic()
        threading.Timer(0.2, around.stopping.set).start()
        with pytest.raises(BadPacket, match="did not answer in time"):
            Webhook(checked, around).act(EVENT)
        assert 0.2 < time.monotonic() - began < 30
        for one in waiting:
            one.close()


def test_secrets_are_sent_and_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the header, nor the path and query, which are a webhook's password."""
    monkeypatch.setenv("HOOK_TOKEN", "Bearer s3cret-token")
    with serving(answer(403)) as server:
        monkeypatch.setenv("HOOK_URL", server.url)
        stage = hook("env:HOOK_URL", secret_headers={"Authorization": "env:HOOK_TOKEN"})
        with pytest.raises(BadPacket) as told:
            stage.act(EVENT)
    assert "Authorization: Bearer s3cret-token" in server.requests[0][0]
    assert "s3cret" not in str(told.value) + repr(stage._options)
    assert str(told.value).startswith(f"http://127.0.0.1:{server.port} answered")


@pytest.mark.parametrize("value", ["s3cret\r\nX-Evil: 1", "s3crét"])
def test_a_secret_that_cannot_be_a_header_is_not_said_either(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", value)
    stage = hook("http://127.0.0.1:9/", secret_headers={"Authorization": "env:HOOK_TOKEN"})
    with pytest.raises(Unavailable, match="not printable ASCII") as told:
        stage.act(EVENT)
    assert "s3cr" not in str(told.value)


def test_a_secret_address_that_is_none_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", "ftp://s3cret")
    with pytest.raises(Unavailable, match="secret address cannot be used") as told:
        hook("env:HOOK_URL").act(EVENT)
    assert "s3cret" not in str(told.value)


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(
    tmp_path_factory: pytest.TempPathFactory, system_program: Callable[[str, str], str]
) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("server", "stranger"):
        subprocess.run(
            [system_program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.crt",
             "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    return folder


@pytest.mark.slow
def test_tls_with_an_authority_of_ones_own(certificates: Path) -> None:
    """Trusted, and by nobody else: then it is said at once, and not tried again."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    with serving(OK, tls=tls) as server:
        url = server.url.replace("http:", "https:")
        hook(url, MonotonicClock(), ca=certificates / "server.crt", limit_s=20).act(EVENT)
        for more in ({"ca": certificates / "stranger.crt"}, {}):
            with pytest.raises(BadPacket, match="certificate that is not trusted"):
                hook(url, MonotonicClock(), limit_s=20, **more).act(EVENT)
    assert len(server.requests) == 1


def test_plain_http_where_tls_is_asked_for() -> None:
    with serving(OK) as server:
        url = server.url.replace("http:", "https:")
        stage = hook(url, MonotonicClock(), retries=0, limit_s=1)
        with pytest.raises(BadPacket, match=r"TLS|cannot be reached|in time"):
            stage.act(EVENT)


# -- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "ftp://example.org"}, "begins with https://"),
        ({"url": "https://"}, "and a host"),
        ({"url": "https://user:s3cret@example.org/"}, "use secret_headers"),
        ({"url": "https://example.org:99999/"}, "this is no address"),
        ({"url": "https://a..org/"}, "cannot be a name"),
        ({"url": f"https://{64 * 'a'}.org/"}, "cannot be a name"),
        ({"url": "https://example.org/a b"}, "without blanks"),
        ({"url": "https://example.org/\r\nX: 1"}, "without blanks"),
        ({"url": "env:"}, "a secret is given by reference"),
        ({"url": "https://a.org", "headers": {"X": "a\r\nY: b"}}, "printable ASCII"),
        ({"url": "https://a.org", "headers": {"X Y": "a"}}, "cannot be the name"),
        ({"url": "https://a.org", "headers": {"content-length": "3"}}, "is set already"),
        ({"url": "https://a.org", "secret_headers": {"Authorization": "hunter2"}}, "reference"),
        ({"url": "http://a.org", "ca": Path(__file__)}, "has no effect"),
        ({"url": "https://a.org", "ca": Path(__file__)}, "holds no certificates"),
    ],
)
def test_what_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=problem) as told:
        WebhookOptions.model_validate(options)
    assert all("s3cret" not in str(error["ctx"]["error"]) for error in told.value.errors())


def test_check_remarks_that_others_can_read_along() -> None:
    """Only where there are others."""
    said = [
        len(WebhookOptions(url=url).remarks())
        for url in ("http://10.0.0.7/", "http://localhost/", "http://[::1]/", "https://a.org/")
    ]
    assert said == [1, 0, 0, 0]


def test_addresses_are_read_as_they_are_meant() -> None:
    assert Endpoint.of("https://a.org") == Endpoint(True, "a.org", 443, "/")
    assert Endpoint.of("http://[::1]:8/x?y=1#z") == Endpoint(False, "::1", 8, "/x?y=1")
    assert Endpoint.of("http://[::1]:8/x?y=1#z").public == "http://[::1]:8"
