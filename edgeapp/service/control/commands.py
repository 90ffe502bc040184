"""Commands over MQTT: `.../set` topics, for what the device file allows.

A command never raises, and never delays anything but other commands: they wait, a few at most, for
one task that does them in their order. Whatever becomes of one is replied and logged.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, cast

import msgspec

from edgeapp.core.message import Message
from edgeapp.document.render import clean
from edgeapp.runtime.app import App
from edgeapp.service.control.server import Frame, RefusedError
from edgeapp.service.control.verbs import Verbs
from edgeapp.service.snapshot import take_snapshot
from edgeapp.uplink.connection import Extra, OnMessage, Received
from edgeapp.uplink.notices import ReplyNotice

Verb = Literal["enable", "pin", "tune", "snapshot", "reload"]

FILTERS = ("set", "+/set", "+/+/set", "+/+/+/set")
"""Below the device's topics. They overlap nowhere; also what is no command is answered."""
MOST_BYTES = 64 * 1024
MOST_WAITING = 16
PAUSE_S = 0.05
"""Between two commands: so a flood of them fills neither the log nor the network."""
_MOST_CORRELATION = 1024
_LONGEST_TOPIC = 200
_KNOWN = (
    "set (reload), <pipeline>/set (ON or OFF), <pipeline>/<stage>/variant/set, "
    "<pipeline>/<stage>/snapshot/set and <pipeline>/<stage>/<option>/set"
)


class Teller(Protocol):
    """What commands need of the uplink."""

    def seal(self, message: Message) -> bytes:
        """Put the envelope around a message's body."""

    def tell(self, topic: str, payload: bytes, extra: Extra | None = None) -> bool:
        """Send something now or never."""

    def subscribe(self, topic_filter: str, handler: OnMessage) -> None:
        """Follow topics, from now on and at every connection."""


class _Command(NamedTuple):
    received: Received
    """With an empty payload where that is too large."""
    size: int
    topic: str
    """Below the device's own."""


@dataclass(frozen=True, slots=True)
class _Meant:
    """What a topic asks for."""

    verb: Verb
    do: Callable[[str], Awaitable[str]]
    """Does it, given the payload; says what was done. Raises RefusedError."""


class Commands:
    """Does what comes on the `set` topics. On the event loop."""

    def __init__(
        self,
        app: App,
        verbs: Verbs,
        uplink: Teller,
        *,
        below: str,
        allowed: frozenset[str],
        home_assistant: str = "homeassistant",
    ) -> None:
        """Prepare. `below`: the device's topics, with a slash at the end.

        `home_assistant`: what lies below it is not replied to, nor are topics of other devices: who
        may command us is not to speak there in our name.
        """
        self._app = app
        self._verbs = verbs
        self._uplink = uplink
        self._below = below
        self._all_devices = below.rstrip("/").rpartition("/")[0] + "/"
        self._home_assistant = f"{home_assistant}/"
        self._allowed = allowed
        self._log = app.kit.log
        self._waiting: deque[_Command] = deque()
        self._come = asyncio.Event()
        self._too_many = 0

    async def run(self) -> None:
        """Listen, and do what comes, until cancelled. Where nothing is allowed, nothing is heard."""
        if not self._allowed:
            return
        for topic_filter in FILTERS:
            self._uplink.subscribe(self._below + topic_filter, self._received)
        while True:
            await self._come.wait()
            self._come.clear()
            while self._waiting:
                await self._answer(self._waiting.popleft())
                await asyncio.sleep(PAUSE_S)
                self._tell_too_many()

    def _received(self, received: Received) -> None:
        """A message came; never raises, and is quick."""
        if len(self._waiting) >= MOST_WAITING:
            self._too_many += 1
            return
        size = len(received.payload)
        if size > MOST_BYTES:
            received = received._replace(payload=b"")
        self._waiting.append(_Command(received, size, received.topic.removeprefix(self._below)))
        self._come.set()

    def _tell_too_many(self) -> None:
        count, self._too_many = self._too_many, 0
        if count:
            self._log.warning("commands refused, too many at once", count=count)
            said = f"{count} commands were refused: at most {MOST_WAITING} wait at a time"
            notice = ReplyNotice(schema="edgeapp/reply/1", command="", ok=False, said=said)
            self._reply("reply", None, notice)

    async def _answer(self, command: _Command) -> None:
        topic = clean(command.topic[:_LONGEST_TOPIC])
        try:
            said, ok = clean(await self._done(command)), True
            self._log.info("command done", command=topic, what=said)
        except RefusedError as error:
            # It may repeat what came; and half of a pair of surrogates cannot be sent.
            said, ok = clean(str(error)), False
            self._log.warning("command refused", command=topic, why=said)
        except Exception:  # noqa: BLE001  a bug here must not end what runs
            said, ok = "that failed; the log says why", False
            self._log.error("a command failed", command=topic, exc_info=True)
        to, correlation, remark = self._where(command.received)
        notice = ReplyNotice(schema="edgeapp/reply/1", command=topic, ok=ok, said=f"{said}{remark}")
        self._reply(to, correlation, notice)

    async def _done(self, command: _Command) -> str:
        """Do a command; tells what was done.

        Raises:
            RefusedError: it cannot be done, or must not.
        """
        if command.received.retain:
            raise RefusedError(
                "it is retained, and commands are done once: publish it without the retain flag"
            )
        if command.size > MOST_BYTES:
            raise RefusedError(
                f"its payload has {command.size:,} bytes, and at most {MOST_BYTES:,} are read"
            )
        meant = self._meant(command.topic)
        if meant.verb not in self._allowed:
            raise RefusedError(
                f"'{meant.verb}' is not allowed here: the device file says what is, "
                "under mqtt: commands"
            )
        try:
            payload = command.received.payload.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise RefusedError("its payload is not UTF-8") from None
        return await meant.do(payload)

    def _meant(self, topic: str) -> _Meant:
        """What a topic asks for.

        Raises:
            RefusedError: nothing that is known.
        """
        match topic.split("/"):
            case ["set"]:
                return _Meant("reload", self._reload)
            case [pipeline, "set"]:
                return _Meant("enable", lambda payload: self._enable(pipeline, payload))
            case [pipeline, stage, "variant", "set"]:
                return _Meant("pin", lambda payload: self._pin(f"{pipeline}/{stage}", payload))
            case [pipeline, stage, "snapshot", "set"]:
                return _Meant("snapshot", lambda _: self._snapshot(f"{pipeline}/{stage}"))
            case [pipeline, stage, option, "set"]:
                return _Meant(
                    "tune", lambda payload: self._tune(f"{pipeline}/{stage}", option, payload)
                )
        raise RefusedError(f"there is no such command; there are {_KNOWN}")

    # -- the verbs --------------------------------------------------------------------------

    async def _reload(self, payload: str) -> str:
        if payload != "reload":
            raise RefusedError(f"the payload here is 'reload', {_not(payload)}")
        return str((await _first(self._verbs.reload({})))["said"])

    async def _enable(self, name: str, payload: str) -> str:
        wanted = {"on": True, "true": True, "off": False, "false": False}.get(payload.lower())
        if wanted is None:
            raise RefusedError(f"the payload here is ON or OFF, {_not(payload)}")
        pipeline = self._verbs.pipeline(name)
        if wanted is not pipeline.held:
            return f"'{name}' is {'on' if wanted else 'off'} already ({pipeline.state})"
        await _first((self._verbs.resume if wanted else self._verbs.pause)({"pipeline": name}))
        return f"'{name}' is {'on' if wanted else 'off'}"

    async def _pin(self, stage: str, payload: str) -> str:
        if payload == "auto":
            await _first(self._verbs.auto({"stage": stage}))
            return f"{stage} follows heat and load"
        request: dict[str, Any] = {"variant": payload}
        if payload.startswith("{"):
            request = _table(payload)
            unknown = request.keys() - {"variant", "for_s", "divisor"}
            if unknown or "variant" not in request:
                raise RefusedError("the keys here are variant, and if wanted for_s and divisor")
        done = await _first(self._verbs.pin({**request, "stage": stage}))
        until = "until 'auto'" if done["for_s"] is None else f"for {done['for_s']:g} s"
        said = f"{stage} is held on {done['variant']} (rung {done['rung']}) {until}"
        if done["struck"]:
            said += "; it could not be loaded, so the nearest one that can be used answers"
        return said

    async def _tune(self, stage: str, option: str, payload: str) -> str:
        done = await _first(self._verbs.tune({"stage": stage, "option": option, "value": payload}))
        value, before = json.dumps(done["value"]), json.dumps(done["before"])
        if value == before:
            return f"{option} of {stage} is {value} already"
        return f"{option} of {stage} is {value}, it was {before}"

    async def _snapshot(self, stage: str) -> str:
        return await take_snapshot(self._app, *self._verbs.stage({"stage": stage}))

    # -- replying ---------------------------------------------------------------------------

    def _where(self, received: Received) -> tuple[str, bytes | None, str]:
        """Topic (below the device's own, or in full with a slash before it) and correlation data."""
        wanted, correlation = received.response_topic, received.correlation
        if not wanted:
            return "reply", correlation, ""
        problem = self._problem_with(wanted, correlation)
        if problem:
            return "reply", None, f" (the response topic was not used: {problem})"
        return f"/{wanted}", correlation, ""

    def _problem_with(self, wanted: str, correlation: bytes | None) -> str:
        """Why a response topic is not used; empty if it is."""
        try:
            Message(wanted, b'{"a":1}', 0).check()
        except ValueError:
            return "it is no topic to publish to"
        ours, reply = wanted.startswith(self._below), f"{self._below}reply/"
        problems = (
            (wanted.startswith("$") or wanted.endswith("/set"), "it may be a command to somebody"),
            (ours and not f"{wanted}/".startswith(reply), "it is a topic of this device"),
            (
                not ours and wanted.startswith(self._all_devices),
                "it may be a topic of another device",
            ),
            (wanted.startswith(self._home_assistant), "it belongs to Home Assistant"),
            (
                len(correlation or b"") > _MOST_CORRELATION,
                f"its correlation data has more than {_MOST_CORRELATION:,} bytes",
            ),
        )
        return next((why for is_so, why in problems if is_so), "")

    def _reply(self, to: str, correlation: bytes | None, notice: ReplyNotice) -> None:
        topic = to[1:] if to.startswith("/") else f"{self._below}{to}"
        body = msgspec.json.encode(notice)
        sealed = self._uplink.seal(Message("reply", body, self._app.kit.clock.now_ns()))
        extra = Extra(content_type="application/json", correlation=correlation)
        if not self._uplink.tell(topic, sealed, extra):
            self._log.warning("a reply could not be sent", command=notice.command)


async def _first(frames: AsyncIterator[Frame]) -> dict[str, Any]:
    """What a verb says first."""
    async with aclosing(cast(AsyncGenerator[Frame, None], frames)) as answer:
        return (await anext(answer)).facts


def _table(payload: str) -> dict[str, Any]:
    try:
        table = json.loads(payload)
    except (ValueError, RecursionError):
        raise RefusedError("its payload is not JSON") from None
    return cast(dict[str, Any], table)


def _not(payload: str) -> str:
    shown = clean(payload[:40])
    return f"not '{shown}…'" if len(payload) > 40 else f"not '{shown}'"  # noqa: PLR2004  as shown
