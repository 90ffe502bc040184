"""Commands over MQTT: what is done, and that nothing that comes from outside does harm."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeapp.api import Emit, Image, source
from edgeapp.core.link import LinkSettings
from edgeapp.core.message import Message
from edgeapp.plan.graph import Plan
from edgeapp.runtime.app import App
from edgeapp.service.control.commands import FILTERS, MOST_BYTES, MOST_WAITING, Commands
from edgeapp.service.control.server import Frame, Request
from edgeapp.service.control.verbs import Verbs
from edgeapp.testing.stage import LogBook
from edgeapp.transforms.mask import Mask
from edgeapp.transforms.motion import Motion
from edgeapp.uplink.connection import Extra, OnMessage, Received
from tests.runtime.parts import Tap
from tests.runtime.rig import Rig, chain
from tests.service.control.test_control import Flow

ALL = frozenset({"enable", "pin", "tune", "snapshot", "reload"})
BELOW = "edgeapp/dev/"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands follow one another at once."""
    monkeypatch.setattr("edgeapp.service.control.commands.PAUSE_S", 0.0)


class Wire:
    """Stands in for the uplink: keeps what is told, and brings what the test publishes."""

    def __init__(self) -> None:
        self.handlers: dict[str, OnMessage] = {}
        self.told: list[tuple[str, dict[str, Any], Extra | None]] = []
        self.connected = True

    def seal(self, message: Message) -> bytes:
        message.check()
        return message.body

    def tell(self, topic: str, payload: bytes, extra: Extra | None = None) -> bool:
        if self.connected:
            self.told.append((topic, json.loads(payload), extra))
        return self.connected

    def subscribe(self, topic_filter: str, handler: OnMessage) -> None:
        self.handlers[topic_filter] = handler

    def publish(self, topic: str, payload: bytes | str = b"", **more: Any) -> None:
        """Bring a message, as the broker does: by the one filter that it matches."""
        payload = payload.encode() if isinstance(payload, str) else payload
        levels = topic.split("/")
        [handler] = [
            handler
            for topic_filter, handler in self.handlers.items()
            if len(parts := topic_filter.split("/")) == len(levels)
            and all(part in {"+", level} for part, level in zip(parts, levels, strict=True))
        ]
        handler(Received(topic, payload, **{"retain": False, **more}))

    async def answer(self, topic: str, payload: bytes | str = b"", **more: Any) -> dict[str, Any]:
        """What is replied to a command below the device's topics."""
        before = len(self.told)
        self.publish(f"{BELOW}{topic}", payload, **more)
        async with asyncio.timeout(60):
            while len(self.told) == before:
                await asyncio.sleep(0.001)
        return self.told[-1][1]


def belt(into: list[Any]) -> Plan:
    plan = chain(
        ("camera", Flow, {}),
        ("motion", Motion, {}),
        ("tap", Tap, {"into": into}),
    )
    return replace(plan, name="belt")


Script = Callable[[Wire, App], Awaitable[None]]


def while_running(
    folder: Path, script: Script, *, plan: Plan | None = None, allowed: frozenset[str] = ALL
) -> Rig:
    """Run a belt with its commands until the script ends; nothing may have crashed."""
    rig = Rig(folder)

    async def main() -> None:
        app = App([plan or belt([])], rig.kit)
        wire = Wire()
        verbs = Verbs(app, device="dev", say=str)
        commands = Commands(app, verbs, wire, below=BELOW, allowed=allowed)
        stop = asyncio.Event()
        running = asyncio.ensure_future(app.run(stop))
        listening = asyncio.ensure_future(commands.run())
        while app.pipelines[0].state != "running":
            await asyncio.sleep(0.001)
        try:
            await script(wire, app)
            assert app.pipelines[0].state in {"running", "paused"}
        finally:
            listening.cancel()
            stop.set()
            await running
        assert not any("exc_info" in facts for _, _, facts in rig.log.events)

    asyncio.run(main())
    return rig


def test_a_pipeline_is_switched_off_and_on_again_and_twice_does_no_harm(tmp_path: Path) -> None:
    async def script(wire: Wire, app: App) -> None:
        for payload, said in (
            ("OFF", "'belt' is off"),
            ("off", "'belt' is off already (paused)"),
            ("true", "'belt' is on"),
        ):
            reply = await wire.answer("belt/set", payload)
            assert reply == {
                "schema": "edgeapp/reply/1",
                "command": "belt/set",
                "ok": True,
                "said": said,
            }
            while app.pipelines[0].held and app.pipelines[0].state != "paused":
                await asyncio.sleep(0.001)
        while app.pipelines[0].state != "running":
            await asyncio.sleep(0.001)
        assert (await wire.answer("belt/set", "ON"))["said"] == "'belt' is on already (running)"

    rig = while_running(tmp_path, script)
    done = [facts["command"] for _, event, facts in rig.log.events if event == "command done"]
    assert done == ["belt/set"] * 4


def test_a_threshold_is_changed_and_a_wrong_one_refused_as_check_does(tmp_path: Path) -> None:
    async def script(wire: Wire, app: App) -> None:
        reply = await wire.answer("belt/motion/min_area/set", "0.5")
        assert (reply["ok"], reply["said"]) == (
            True,
            "min_area of belt/motion is 0.5, it was 0.001",
        )
        reply = await wire.answer("belt/motion/min_area/set", "0.5")
        assert reply["said"] == "min_area of belt/motion is 0.5 already"
        reply = await wire.answer("belt/motion/min_area/set", "7")
        assert (reply["ok"], reply["said"]) == (
            False,
            "stage 'motion': min_area must be a number from 0 to 1, not 7",
        )
        options: Any = app.pipelines[0].plan.stages["motion"].options
        assert options.min_area == 0.5

    while_running(tmp_path, script)


def test_the_reply_goes_where_it_is_wanted_with_the_correlation_data(tmp_path: Path) -> None:
    async def script(wire: Wire, _app: App) -> None:
        await wire.answer("belt/set", "ON", response_topic="app/7", correlation=b"\x00\xff")
        topic, _, extra = wire.told[-1]
        assert topic == "app/7"
        assert extra is not None
        assert extra.correlation == b"\x00\xff"
        await wire.answer("belt/set", "ON", response_topic=f"{BELOW}reply/app")
        assert wire.told[-1][0] == f"{BELOW}reply/app"
        await wire.answer("belt/set", "ON")
        assert wire.told[-1][0] == f"{BELOW}reply"

    while_running(tmp_path, script)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("a/+/b", "it is no topic"),
        ("#", "it is no topic"),
        ("a\x00b", "it is no topic"),
        ("x" * 2_000, "it is no topic"),
        ("$SYS/x", "it may be a command"),
        ("edgeapp/dev/belt/set", "it may be a command"),
        ("edgeapp/other/set", "it may be a command"),
        ("edgeapp/dev/status", "it is a topic of this device"),
        ("edgeapp/dev/belt/state", "it is a topic of this device"),
        ("edgeapp/dev/reply2/state", "it is a topic of this device"),
        ("edgeapp/other/status", "it may be a topic of another device"),
        ("homeassistant/device/edgeapp-dev/config", "it belongs to Home Assistant"),
    ],
)
def test_a_response_topic_that_would_do_harm_is_not_used(
    tmp_path: Path, wanted: str, why: str
) -> None:
    async def script(wire: Wire, _app: App) -> None:
        reply = await wire.answer("belt/set", "ON", response_topic=wanted, correlation=b"7")
        assert wire.told[-1][0] == f"{BELOW}reply"
        assert reply["ok"]
        assert f"(the response topic was not used: {why}" in reply["said"]

    while_running(tmp_path, script)


def test_correlation_data_as_long_as_a_book_is_not_sent_back(tmp_path: Path) -> None:
    async def script(wire: Wire, _app: App) -> None:
        await wire.answer("belt/set", "ON", response_topic="a", correlation=bytes(1025))
        topic, reply, extra = wire.told[-1]
        assert topic == f"{BELOW}reply"
        assert "more than 1,024 bytes" in reply["said"]
        assert extra == Extra(content_type="application/json")

    while_running(tmp_path, script)


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("set", "now", "the payload here is 'reload', not 'now'"),
        ("set", "reload", "what runs here cannot be reloaded"),
        ("belt/set", "maybe", "the payload here is ON or OFF, not 'maybe'"),
        ("belt/set", "", "the payload here is ON or OFF, not ''"),
        ("belt/set", '"' + "x" * 5_000, "not '\"" + "x" * 39 + "…'"),
        ("belt/set", b"\xff\xfe", "its payload is not UTF-8"),
        ("belt/set", bytes(1_000_000), "its payload has 1,000,000 bytes, and at most 65,536"),
        ("bel/set", "ON", "there is no pipeline 'bel'; did you mean 'belt'?"),
        ("/set", "ON", "there is no pipeline ''"),
        ("belt/camera/set", "ON", "there is no such command; there are set (reload)"),
        ("belt/camera/variant/set", "best", "'camera' is no model stage: it has no variants"),
        ("belt/camera/variant/set", '{"variant"', "its payload is not JSON"),
        ("belt/camera/variant/set", "{" * 60_000, "its payload is not JSON"),
        ("belt/camera/variant/set", '{"for_s": 3}', "the keys here are variant, and if wanted"),
        ("belt/camera/variant/set", '{"variant": 0, "by": 1}', "the keys here are variant"),
        ("belt/camera/size/set", "3", "stage 'camera' has no option 'size'; Live options: none"),
        ("belt/motion/where/set", "whole", "'where' of stage 'motion' cannot be changed while"),
        ("belt/motion/min_area/set", "x" * 60_000, "has at most 1,000 characters"),
        ("belt/motion/min_area/set", "much", "min_area must be a number from 0 to 1, not 'much'"),
        ("belt/motino/min_area/set", "0", "there is no stage 'motino'; did you mean 'motion'?"),
        ("belt/nothing/snapshot/set", "", "there is no stage 'nothing'"),
        ("a" * 30_000 + "/b/c/set", "1", "there is no pipeline 'aaaa"),
        ("belt/\x1b[2J/c/set", "1", "there is no stage"),
        ("belt/\u202e/c/set", "1", "there is no stage '\\u202e'"),
        ("belt/motion/min_area/set", '"\\ud800"', "this text holds the control character U+D800"),
        ("belt/mo\ud800/variant/set", "auto", "there is no stage 'mo\\ud800'"),
    ],
)
def test_what_cannot_be_done_is_answered_and_harms_nothing(
    tmp_path: Path, topic: str, payload: bytes | str, why: str
) -> None:
    async def script(wire: Wire, app: App) -> None:
        before = app.status()[0].stages[0].taken
        reply = await wire.answer(topic, payload)
        assert not reply["ok"]
        assert why in reply["said"]
        assert len(json.dumps(reply)) < 1_500
        assert "\x1b" not in reply["command"]
        while app.status()[0].stages[0].taken <= before:
            await asyncio.sleep(0.001)
        assert (await wire.answer("belt/set", "ON"))["ok"]

    rig = while_running(tmp_path, script)
    [logged] = [facts for _, event, facts in rig.log.events if event == "command refused"]
    assert why in logged["why"]


def test_a_retained_command_is_not_done(tmp_path: Path) -> None:
    """Else a device would be switched off at every reconnect, by one that nobody remembers."""

    async def script(wire: Wire, app: App) -> None:
        reply = await wire.answer("belt/set", "OFF", retain=True)
        assert not reply["ok"]
        assert reply["said"].startswith("it is retained, and commands are done once")
        assert not app.pipelines[0].held

    rig = while_running(tmp_path, script)
    assert rig.log.said("warning") == ["command refused"]


@pytest.mark.parametrize(
    ("verb", "topic", "payload"),
    [
        ("enable", "belt/set", "OFF"),
        ("pin", "belt/camera/variant/set", "auto"),
        ("tune", "belt/motion/min_area/set", "0.5"),
        ("snapshot", "belt/camera/snapshot/set", ""),
        ("reload", "set", "reload"),
    ],
)
def test_each_verb_is_done_only_where_the_device_file_allows_it(
    tmp_path: Path, verb: str, topic: str, payload: str
) -> None:
    async def script(wire: Wire, app: App) -> None:
        reply = await wire.answer(topic, payload)
        assert not reply["ok"]
        assert f"'{verb}' is not allowed here" in reply["said"]
        assert not app.pipelines[0].held

    while_running(tmp_path, script, allowed=ALL - {verb})


def test_where_nothing_is_allowed_nothing_is_listened_to(tmp_path: Path) -> None:
    async def script(wire: Wire, _app: App) -> None:
        await asyncio.sleep(0.01)
        assert wire.handlers == {}

    while_running(tmp_path, script, allowed=frozenset())


def test_else_every_set_topic_is_followed_by_one_filter(tmp_path: Path) -> None:
    """Where filters overlap, some brokers deliver twice."""

    async def script(wire: Wire, _app: App) -> None:
        await wire.answer("belt/set", "ON")
        assert set(wire.handlers) == {f"{BELOW}{one}" for one in FILTERS}
        assert len({one.count("/") for one in FILTERS}) == len(FILTERS)

    while_running(tmp_path, script, allowed=frozenset({"enable"}))


def test_of_a_flood_a_few_wait_and_the_rest_are_counted(tmp_path: Path) -> None:
    async def script(wire: Wire, _app: App) -> None:
        await wire.answer("belt/set", "ON")
        wire.told.clear()
        for _ in range(1_000):
            wire.publish(f"{BELOW}belt/set", bytes(MOST_BYTES + 1))
        async with asyncio.timeout(60):
            while len(wire.told) <= MOST_WAITING:
                await asyncio.sleep(0.001)
        said = (
            f"{1_000 - MOST_WAITING} commands were refused: at most {MOST_WAITING} wait at a time"
        )
        assert [reply["said"] for _, reply, _ in wire.told].count(said) == 1
        assert len(wire.told) == MOST_WAITING + 1
        assert (await wire.answer("belt/set", "ON"))["ok"]

    rig = while_running(tmp_path, script)
    assert "commands refused, too many at once" in rig.log.said("warning")
    assert len(rig.log.events) < 3 * MOST_WAITING


def test_without_a_connection_what_was_asked_is_done_all_the_same(tmp_path: Path) -> None:
    async def script(wire: Wire, app: App) -> None:
        await wire.answer("belt/set", "ON")
        wire.connected = False
        wire.publish(f"{BELOW}belt/set", "OFF")
        async with asyncio.timeout(60):
            while not app.pipelines[0].held:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)

    rig = while_running(tmp_path, script)
    assert "a reply could not be sent" in rig.log.said("warning")


def test_a_bug_in_a_command_is_answered_and_the_next_one_is_done() -> None:
    """The log has it; the sender gets no traceback."""
    log, wire = LogBook(), Wire()

    class Broken(Verbs):
        async def reload(self, _request: Request) -> Any:
            if not log.events:
                raise ZeroDivisionError("a bug")
            yield Frame({"said": "all unchanged"})

    async def main() -> None:
        app = App([], Rig(Path("unused"), log=log).kit)
        verbs = Broken(app, device="dev", say=str)
        listening = asyncio.ensure_future(
            Commands(app, verbs, wire, below=BELOW, allowed=ALL).run()
        )
        await asyncio.sleep(0)
        reply = await wire.answer("set", "reload")
        assert (reply["ok"], reply["said"]) == (False, "that failed; the log says why")
        assert (await wire.answer("set", "reload"))["said"] == "all unchanged"
        listening.cancel()

    asyncio.run(main())
    assert log.said("error") == ["a command failed"]


# -- snapshots ------------------------------------------------------------------------------


def pictures(rig: Rig) -> list[Message]:
    return [message for message in rig.uplink.messages if message.binary]


def test_a_snapshot_is_the_newest_picture_as_a_message_of_its_own(tmp_path: Path) -> None:
    async def script(wire: Wire, app: App) -> None:
        while app.pipelines[0].slots["camera"].last is None:
            await asyncio.sleep(0.001)
        for stage in ("camera", "tap"):
            reply = await wire.answer(f"belt/{stage}/snapshot/set")
            assert reply["ok"], reply
            assert reply["said"].startswith("a picture of 4 x 4 pixels, ")
            assert reply["said"].endswith(f" s old, goes to belt/{stage}/snapshot")

    messages = pictures(while_running(tmp_path, script))
    assert [message.topic for message in messages] == [
        "belt/camera/snapshot",
        "belt/tap/snapshot",
    ]
    for message in messages:
        message.check()
        assert (message.priority, message.content_type) == ("bulk", "image/jpeg")
        assert message.ttl_s is not None
        assert 60 <= message.ttl_s < 90
        assert not message.retain
        decoded = cv2.imdecode(np.frombuffer(message.body, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape == (4, 4, 3)


@source("large")
class Large(Flow):
    """Pictures of noise, too large for a message."""

    def run(self, emit: Emit[Image], /) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (1600, 2400, 3), np.uint8)
        for _ in range(10_000):
            emit(Image(noise))
            self.context.sleep(0.05)


def test_what_the_pipeline_masks_is_black_also_upstream_of_the_mask(tmp_path: Path) -> None:
    left = {"regions": {"neighbour": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}
    plan = chain(("camera", Large, {}), ("mask", Mask, left), ("tap", Tap, {"into": []}))
    plan = replace(
        plan,
        name="belt",
        stages={
            **plan.stages,
            "camera": replace(plan.stages["camera"], link=LinkSettings(1, "drop_oldest")),
        },
    )

    async def script(wire: Wire, app: App) -> None:
        while app.pipelines[0].slots["camera"].last is None:
            await asyncio.sleep(0.001)
        assert (await wire.answer("belt/camera/snapshot/set"))["ok"]

    [message] = pictures(while_running(tmp_path, script, plan=plan))
    assert len(message.body) < 1_000_000
    seen = cv2.imdecode(np.frombuffer(message.body, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert seen is not None
    height, width = seen.shape
    assert (width, height) == (1200, 800)  # made smaller, so that it fits into a message
    assert seen[:, : width // 2 - 8].max() < 16  # black, but for what JPEG makes of it
    assert seen[:, width // 2 + 8 :].mean() > 64


def test_before_there_is_a_picture_that_is_said(tmp_path: Path) -> None:
    async def script(wire: Wire, app: App) -> None:
        app.pipelines[0].slots.clear()
        reply = await wire.answer("belt/camera/snapshot/set")
        assert (reply["ok"], reply["said"]) == (False, "there is no picture of 'camera' yet")

    while_running(tmp_path, script)


def test_a_picture_that_there_is_no_room_for_is_said_to_be_dropped(tmp_path: Path) -> None:
    async def script(wire: Wire, app: App) -> None:
        while app.pipelines[0].slots["camera"].last is None:
            await asyncio.sleep(0.001)
        app.kit.uplink.accept = False  # type: ignore[attr-defined]  # the test's own uplink
        reply = await wire.answer("belt/camera/snapshot/set")
        assert not reply["ok"]
        assert "the picture was dropped" in reply["said"]

    while_running(tmp_path, script)
