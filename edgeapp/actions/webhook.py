"""Telling a web server, by a POST with a few facts in JSON."""

import json
import ssl
import time
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from edgeapp.actions._facts import Result, facts_of
from edgeapp.actions._http import Endpoint, Failed, Post
from edgeapp.actions._last_words import LastWords
from edgeapp.api import (
    BadPacket,
    Context,
    Field,
    InputPath,
    Needs,
    Options,
    Packet,
    Secret,
    Unavailable,
    action,
)
from edgeapp.core.clock import NS, ns
from edgeapp.core.needs import ANYWHERE

_FIRST_PAUSE_S, _MOST_PAUSE_S = 0.5, 8.0
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
"""Answers that mean: perhaps later."""
_FRAMING = {"host", "content-length", "transfer-encoding", "connection", "content-type"}


class WebhookOptions(Options):
    """Where to, as whom, and how long to try."""

    url: str = Field(
        examples=["https://hooks.example.org/visits"],
        description="Address of the server: 'https://...'; or where it is, as 'cred:name' or "
        "'env:NAME', when the address itself is secret.",
    )
    method: Literal["POST", "PUT"] = Field(default="POST", description="The request's method.")
    headers: Mapping[str, str] = Field(default={}, description="Further headers of the request.")
    secret_headers: Mapping[str, Secret] = Field(
        default={},
        description="Headers whose whole value is secret, such as Authorization: 'cred:name' or "
        "'env:NAME'.",
    )
    ca: InputPath | None = Field(
        default=None,
        description="File with the certificates to trust; the system's if not given.",
    )
    limit_s: float = Field(
        default=8.0, gt=0, le=300, description="Give up after so long, all tries together."
    )
    retries: int = Field(
        default=2, ge=0, le=10, description="Further tries when the server does not take it."
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if not _is_reference(url):
            Endpoint.of(url)
        return url

    @field_validator("headers", "secret_headers")
    @classmethod
    def _sendable(cls, headers: Mapping[str, object]) -> Mapping[str, object]:
        for name, value in headers.items():
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"'{name}' cannot be the name of a header")
            if name.lower() in _FRAMING:
                raise ValueError(f"the header '{name}' is set already")
            if isinstance(value, str) and not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header '{name}' cannot hold that: printable ASCII, please")
        return headers

    @model_validator(mode="after")
    def _ca_is_used(self) -> Self:
        if self.ca is None:
            return self
        if self.url.startswith("http:"):
            raise ValueError("'ca' has no effect on an address without TLS: write https://")
        try:
            ssl.create_default_context(cafile=self.ca)
        except OSError:
            raise ValueError(f"'{self.ca}' holds no certificates that can be read") from None
        return self

    def needs(self) -> Needs:
        """Its server; where the address is a secret, nobody knows which."""
        hidden = frozenset({ANYWHERE} if _is_reference(self.url) else ())
        return super().needs() | Needs(hosts=hidden)

    def remarks(self) -> tuple[str, ...]:
        """Whether others on the network could read along."""
        if self.url.startswith("http:") and not _is_loopback(urlsplit(self.url).hostname or ""):
            return ("the address is http://, so others on the network can read what is sent",)
        return ()


def _is_reference(url: str) -> bool:
    return url.startswith(("cred:", "env:")) and bool(Secret(url))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@action("webhook")
class Webhook:
    """Send each result to a web server, as a few facts in JSON.

    The server answers 2xx within `limit_s`, or the packet is dropped and counted; it is asked
    again a few times. All tries of one packet have the same Idempotency-Key, so that a server can
    tell them from the next one. Redirects are not followed. Certificates are checked.
    """

    def __init__(self, options: WebhookOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._run = f"{context.random.getrandbits(48):012x}"
        self._names = {"pipeline": context.pipeline, "stage": context.id}
        self._post: Post | None = None
        self._last_words = LastWords(context.stopping)

    def act(self, packet: Packet[Result], /) -> None:
        """Send, and send again.

        Raises:
            BadPacket: the server did not take it.
            Unavailable: a secret is not there, or cannot be sent.
            Stopping: the pipeline stops between two tries, or has no time left for the first.
        """
        self._last_words.begin()
        post = self._post or self._make()
        body = json.dumps({**facts_of(packet), **self._names}, allow_nan=False).encode()
        key = f"{self._run}-{packet.epoch}-{packet.seq}-{packet.part}"
        clock, options = self._context.clock, self._options
        deadline_ns = clock.now_ns() + ns(options.limit_s)
        pause_s = _FIRST_PAUSE_S
        for tries_left in range(options.retries, -1, -1):
            left_s = (deadline_ns - clock.now_ns()) / NS
            try:
                ends_s = time.monotonic() + left_s
                status = post.send(body, key, partial(self._last_words.left_s, ends_s))
            except Failed as error:
                problem, reason, final = str(error), "undelivered", error.final
            else:
                if 200 <= status < 300:  # noqa: PLR2004 - what success is in HTTP
                    return
                problem, reason, final = _said(status), "refused", status not in _AGAIN
            pause_s = min(pause_s * 2, _MOST_PAUSE_S)
            wait_s = pause_s * self._context.random.uniform(0.5, 1.0)
            if final or not tries_left or clock.now_ns() + ns(wait_s) >= deadline_ns:
                raise BadPacket(f"{post.endpoint.public} {problem}", reason=reason)
            self._context.sleep(wait_s)

    def _make(self) -> Post:
        options = self._options
        url = Secret(options.url).reveal() if _is_reference(options.url) else options.url
        try:
            endpoint = Endpoint.of(url)
        except ValueError as error:
            raise Unavailable(f"the secret address cannot be used: {error}") from None
        secret = {name: value.reveal() for name, value in options.secret_headers.items()}
        for name, value in secret.items():
            if not (value.isascii() and value.isprintable()):
                problem = f"the secret for the header '{name}' is not printable ASCII"
                raise Unavailable(problem)
        headers = {**options.headers, **secret}
        self._post = Post(endpoint, options.method, headers, options.ca)
        return self._post


def _said(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004 - what a redirect is in HTTP
        return f"redirects (status {status}), which is not followed: give the final address"
    return f"answered with status {status}"
