"""One HTTP request with a time limit that holds, whatever the server and the network do."""

import http.client
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

Left = Callable[[], float]
"""Seconds that are left now; 0 or less once the time is over."""
_MOST_ANSWER = 65_536
"""Bytes of an answer that are read; nobody needs them, but servers like it."""
_LOOK_S = 0.05


class Failed(Exception):
    """No answer. `final`: trying again is no use."""

    def __init__(self, said: str, *, final: bool = False) -> None:
        super().__init__(said)
        self.final = final


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request goes."""

    tls: bool
    host: str
    port: int
    target: str
    """Path and query; may be secret."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: it is none for us; says why, without repeating it.
        """
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("an address is ASCII without blanks; write other characters as %C3%A4")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("this is no address: write https://host/path") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an address begins with https://, or http://, and a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("no user or password in the address: use secret_headers")
        tls = parts.scheme == "https"
        try:
            parts.hostname.encode("idna")
        except UnicodeError:
            raise ValueError("the host of this address cannot be a name") from None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(tls, parts.hostname, port or (443 if tls else 80), target)

    @property
    def public(self) -> str:
        """What may be shown: paths and queries of webhooks are passwords, too."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class Post:
    """Sends requests to one endpoint, each on a connection of its own. For one thread."""

    def __init__(
        self, endpoint: Endpoint, method: str, headers: Mapping[str, str], ca: Path | None
    ) -> None:
        self.endpoint = endpoint
        self._method = method
        self._headers = dict(headers)
        self._ca = ca
        self._tls: ssl.SSLContext | None = None
        self._looking_up: threading.Thread | None = None

    def send(self, body: bytes, key: str, left_s: Left) -> int:
        """Send a body; the status of the answer.

        `left_s`: asked again and again, for it may shrink faster than time passes.

        Raises:
            Failed: there was none in time, from the look-up of the name on.
        """
        try:
            with self._connected(left_s) as sock, _Deadline(sock, left_s):
                return self._exchange(sock, body, key, left_s)
        except TimeoutError:
            raise Failed("did not answer in time") from None
        except ssl.SSLCertVerificationError as error:
            problem = f"has a certificate that is not trusted: {error.verify_message}"
            raise Failed(problem, final=True) from None
        except ssl.SSLError as error:
            raise Failed(f"does not speak TLS as we do: {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            if left_s() <= 0:
                raise Failed("did not answer in time") from None
            said = getattr(error, "strerror", None) or type(error).__name__
            raise Failed(f"cannot be reached: {said}") from None

    def _exchange(self, sock: socket.socket, body: bytes, key: str, left_s: Left) -> int:
        if self.endpoint.tls:
            sock = self._context().wrap_socket(
                sock, server_hostname=self.endpoint.host, do_handshake_on_connect=False
            )
        sock.settimeout(_positive(left_s))
        with sock:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            connection = http.client.HTTPConnection(self.endpoint.host, self.endpoint.port)
            connection.default_port = 443 if self.endpoint.tls else 80
            connection.sock = sock
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "edgeapp",
                "Idempotency-Key": key,
                "Connection": "close",
                **self._headers,
            }
            connection.request(self._method, self.endpoint.target, body, headers)
            answer = connection.getresponse()
            with answer:
                answer.read(_MOST_ANSWER)
                return answer.status

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._ca)
        return self._tls

    def _connected(self, left_s: Left) -> socket.socket:
        """A connection to the first of the host's addresses that takes one."""
        trouble: OSError = TimeoutError()
        for family, kind, protocol, _, address in self._addresses(left_s):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(_positive(left_s))
                with _Deadline(sock, left_s):
                    sock.connect(address)
            except OSError as error:
                sock.close()
                trouble = error
            else:
                return sock
        raise trouble

    def _addresses(self, left_s: Left) -> list[Any]:
        """Look the name up beside this thread: the system's look-up has no time limit."""
        if self._looking_up is not None and self._looking_up.is_alive():
            raise Failed("has a name that is still being looked up")
        results: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                results.put(
                    socket.getaddrinfo(
                        self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM
                    )
                )
            except OSError as error:
                results.put(error)

        self._looking_up = threading.Thread(target=look_up, name="webhook/name", daemon=True)
        self._looking_up.start()
        while True:
            try:
                found = results.get(timeout=min(_positive(left_s), _LOOK_S))
                break
            except queue.Empty:
                if left_s() <= 0:
                    raise TimeoutError from None
        if isinstance(found, OSError):
            raise found
        return found


class _Deadline:
    """Cuts a connection off at its deadline: a server may send one byte a second for ever."""

    def __init__(self, sock: socket.socket, left_s: Left) -> None:
        self._sock = sock.dup()
        self._left_s = left_s
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._cut, name="webhook/deadline", daemon=True)

    def _cut(self) -> None:
        while self._left_s() > 0:
            if self._over.wait(min(_positive(self._left_s), _LOOK_S)):
                return
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()
        self._sock.close()


def _positive(left_s: Left) -> float:
    return max(0.001, left_s())
