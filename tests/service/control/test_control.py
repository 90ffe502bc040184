"""A running application, asked and steered over its control socket."""

import asyncio
import gc
import json
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeapp.api import Context, Emit, Event, Image, Packet, source, transform
from edgeapp.core.dial import Setting
from edgeapp.errors import Unavailable
from edgeapp.plan.graph import Plan
from edgeapp.runtime.app import App
from edgeapp.service.control.client import ask
from edgeapp.service.control.server import (
    MOST_CLIENTS,
    SOCKET,
    Frame,
    RefusedError,
    Request,
    control_socket,
)
from edgeapp.service.control.verbs import Verbs, _rung
from edgeapp.service.unix_socket import is_listened_on
from edgeapp.testing import Script, Scripted
from edgeapp.testing.stage import LogBook
from tests.runtime.parts import NoOptions, Tap, numbers
from tests.runtime.rig import Rig, chain

Ask = Callable[..., list[Frame]]


async def beside(work: Callable[[], Any]) -> Any:
    """What blocking `work` returns, done on a thread while the loop goes on."""
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again on the test's thread
            done.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.005)
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


async def asked(folder: Path, verb: str, **arguments: object) -> list[Frame]:
    return await beside(lambda: list(ask(folder, verb, arguments)))  # type: ignore[no-any-return]  # of a list


@source("flow")
class Flow:
    """Pictures for ever, each as bright as its number."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        self.context = context

    def run(self, emit: Emit[Image], /) -> None:
        for number in range(10_000_000):
            emit(Image(np.full((4, 4, 3), number % 200, np.uint8)))
            self.context.sleep(0.005)


def while_running(
    folder: Path, plan: Plan, script: Callable[[App, Verbs], Awaitable[None]]
) -> None:
    """Run an application with its control socket in `folder`, until the script ends."""
    rig = Rig(folder)

    async def main() -> None:
        app = App([plan], rig.kit)
        verbs = Verbs(app, device="bench-1", say=lambda value: type(value).__name__.lower())
        stop = asyncio.Event()
        running = asyncio.ensure_future(app.run(stop))
        async with control_socket(folder, verbs.table(), rig.kit.log):
            while app.pipelines[0].state in {"stopped", "starting"}:
                await asyncio.sleep(0.005)
            try:
                await script(app, verbs)
            finally:
                stop.set()
                await running

    asyncio.run(main())


FLOW: tuple[str, type[Any], dict[str, Any]] = ("camera", Flow, {})


def test_only_its_owner_may_open_the_socket_and_it_goes_with_the_process(tmp_path: Path) -> None:
    async def script(_app: App, _verbs: Verbs) -> None:
        mode = (tmp_path / SOCKET).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)
    assert not (tmp_path / SOCKET).exists()


def test_the_socket_may_lie_deeper_than_its_address_is_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)

    async def script(_app: App, _verbs: Verbs) -> None:
        [frame] = await asked(deep, "status", window_s=0)
        assert frame.facts["device"] == "bench-1"

    while_running(deep, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_status_says_how_every_stage_is(tmp_path: Path) -> None:
    async def script(_app: App, _verbs: Verbs) -> None:
        window_s = 0.1
        [frame] = await asked(tmp_path, "status", window_s=window_s)
        while not frame.facts["pipelines"][0]["stages"][0]["rate_hz"]:  # on a busy machine
            window_s *= 2
            [frame] = await asked(tmp_path, "status", window_s=window_s)
        assert frame.facts["pid"] == os.getpid()
        [pipeline] = frame.facts["pipelines"]
        assert (pipeline["name"], pipeline["state"]) == ("test", "running")
        [camera, _] = pipeline["stages"]
        assert camera["rate_hz"] > 0
        assert camera["last"] == "image"

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_tap_shows_the_newest_packets_with_all_they_hold(tmp_path: Path) -> None:
    async def script(_app: App, _verbs: Verbs) -> None:
        def take() -> list[Frame]:
            frames = ask(tmp_path, "tap", {"stage": "camera", "full": True}, patient=True)
            return [next(frames) for _ in range(4)]

        [head, *frames] = await beside(take)
        assert head.facts["stage"] == "camera"
        numbers = [frame.facts["seq"] for frame in frames]
        assert numbers == sorted(set(numbers))
        for frame in frames:
            assert set(frame.data) == {frame.facts["seq"] % 200}
            assert len(frame.data) == 4 * 4 * 3
        told = [frame.facts["skipped"] for frame in frames[1:]]
        gaps = [after - before - 1 for before, after in pairwise(numbers)]
        assert all(abs(said - gap) <= 1 for said, gap in zip(told, gaps, strict=True))

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_a_paused_pipeline_closes_everything_and_opens_again(tmp_path: Path) -> None:
    async def script(app: App, _verbs: Verbs) -> None:
        await asked(tmp_path, "pause")
        while app.pipelines[0].state != "paused":
            await asyncio.sleep(0.005)
        before = app.status()[0]
        assert before.unaccounted() == []
        with pytest.raises(RefusedError, match="did you mean 'test'"):
            await asked(tmp_path, "resume", pipeline="tset")
        await asked(tmp_path, "resume", pipeline="test")
        while app.status()[0].stages[0].taken == before.stages[0].taken:
            await asyncio.sleep(0.005)
        assert app.pipelines[0].state == "running"
        assert app.pipelines[0].slots["camera"].last.epoch > 0  # type: ignore[union-attr]  # it emitted
        with pytest.raises(RefusedError, match="is not paused but running"):
            await asked(tmp_path, "resume")
        await asked(tmp_path, "pause")  # and a stop ends a paused one

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_what_is_meant_wrongly_is_answered_with_a_sentence(tmp_path: Path) -> None:
    async def script(_app: App, _verbs: Verbs) -> None:
        for verb, arguments, sentence in (
            ("dance", {}, "this version knows: status, tap"),
            ("tap", {"stage": "camrea"}, "did you mean 'camera'"),
            ("tap", {"stage": "nix/camera"}, "there is no pipeline 'nix'"),
            ("tap", {"stage": "camera", "every_s": "soon"}, "every_s is a number of seconds"),
            ("tap", {"stage": "camera", "every_s": -1}, "every_s is a number of seconds"),
            ("pin", {"stage": "camera", "variant": "x"}, "'camera' is no model stage"),
            ("ack", {"stage": "camera"}, "'camera' raises no alarms"),
            ("pause", {"pipeline": "nix"}, "there is no pipeline 'nix'"),
            ("pause", {"pipeline": {"a": 1}}, "there is no pipeline"),
            ("resume", {"pipeline": ["test"]}, "there is no pipeline"),
        ):
            with pytest.raises(RefusedError, match=sentence):
                await asked(tmp_path, verb, **arguments)

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


@pytest.mark.parametrize(
    "bytes_",
    [b"\n", b"[]\n", b"\xff\xfe\n", b"{" * 5000 + b"\n", b'"' + b"x" * 70_000 + b"\n", b"{}"],
    ids=["empty", "list", "no utf-8", "deep", "long", "no line"],
)
def test_nonsense_is_refused_and_the_next_one_is_answered(tmp_path: Path, bytes_: bytes) -> None:
    async def script(_app: App, _verbs: Verbs) -> None:
        def talk() -> bytes:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / SOCKET))
                client.sendall(bytes_)
                client.shutdown(socket.SHUT_WR)
                with client.makefile("rb") as stream:
                    return stream.read()

        said = json.loads(await beside(talk))
        assert "problem" in said
        [frame] = await asked(tmp_path, "status", window_s=0)
        assert frame.facts["device"] == "bench-1"

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


@transform("alarm")
class Alarm:
    """Raises an alarm that lasts until it is acknowledged."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        self.event: Event | None = None
        self.seen = False

    def acknowledge(self) -> str:
        self.seen = True
        return f"seen on {threading.current_thread().name}"

    def process(self, packet: Packet[Image]) -> list[Event]:
        if self.event is None:
            self.event = Event("new", "a-1", "alarm", "it", packet.t_ns)
            return [self.event]
        if self.seen:
            self.seen = False
            return [replace(self.event, phase="end")]
        return []


def test_an_alarm_is_acknowledged_on_the_thread_of_its_stage(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def script(_app: App, _verbs: Verbs) -> None:
        [frame] = await asked(tmp_path, "ack", stage="alarm")
        assert frame.facts["said"] == "seen on test/camera"
        while len(seen) < 2:
            await asyncio.sleep(0.005)
        assert [packet.value.phase for packet in seen] == ["new", "end"]

    while_running(tmp_path, chain(FLOW, ("alarm", Alarm, {}), ("tap", Tap, {"into": seen})), script)


def test_one_client_too_many_is_told_so(tmp_path: Path) -> None:
    """And not that nothing runs."""

    async def script(_app: App, _verbs: Verbs) -> None:
        clients = [socket.socket(socket.AF_UNIX) for _ in range(MOST_CLIENTS)]
        try:
            for client in clients:
                client.connect(str(tmp_path / SOCKET))
                await asyncio.sleep(0.01)
            with pytest.raises(RefusedError, match="too many are connected"):
                await asked(tmp_path, "status", window_s=0)
        finally:
            for client in clients:
                client.close()

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_clients_that_hang_up_leave_nothing_behind(tmp_path: Path) -> None:
    async def script(_app: App, _verbs: Verbs) -> None:
        before = len(asyncio.all_tasks())

        def look_and_go() -> None:
            for _ in range(30):
                frames = ask(tmp_path, "tap", {"stage": "camera", "full": True}, patient=True)
                next(frames)
                frames.close()

        await beside(look_and_go)
        for _ in range(200):
            if len(asyncio.all_tasks()) <= before:
                break
            await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) <= before

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_a_second_process_goes_on_without_a_socket_and_says_so(tmp_path: Path) -> None:
    async def script(_app: App, _verbs: Verbs) -> None:
        log = LogBook()
        async with control_socket(tmp_path, {}, log) as path:
            assert path is None
        assert log.said("warning") == ["no control socket"]
        assert (tmp_path / SOCKET).exists()

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_the_socket_of_a_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET))

    async def script(_app: App, _verbs: Verbs) -> None:
        assert await asked(tmp_path, "status", window_s=0)

    while_running(tmp_path, chain(FLOW, ("tap", Tap, {"into": []})), script)


def test_a_process_that_listens_and_hangs_holds_up_nobody(tmp_path: Path) -> None:
    """To connect to it would wait until it takes another one, for good."""
    path = tmp_path / SOCKET
    with socket.socket(socket.AF_UNIX) as hanging, ExitStack() as waiting:
        hanging.bind(str(path))
        hanging.listen(0)
        with suppress(BlockingIOError):
            for _ in range(100):
                one = waiting.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect(str(path))
        assert is_listened_on(str(path))
    assert not is_listened_on(str(path))


def test_a_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / SOCKET).write_text("mine")

    async def main() -> None:
        log = LogBook()
        async with control_socket(tmp_path, {}, log) as path:
            assert path is None

    asyncio.run(main())
    assert (tmp_path / SOCKET).read_text() == "mine"


def test_where_nothing_runs_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nothing runs"):
        list(ask(tmp_path, "status", {}))


def test_a_bug_in_a_verb_is_logged_and_ends_nothing(tmp_path: Path) -> None:
    async def broken(_request: Request) -> AsyncIterator[Frame]:
        yield Frame({"first": 1})
        raise RuntimeError("bug")

    async def main() -> None:
        log = LogBook()
        async with control_socket(tmp_path, {"broken": broken}, log):
            for _ in range(2):
                with pytest.raises(RefusedError, match="that failed; the log says why"):
                    await asked(tmp_path, "broken")
        assert log.said("error") == ["a control request failed"] * 2

    asyncio.run(main())


def test_a_pin_goes_before_what_the_governor_wants_until_it_expires() -> None:
    from edgeapp.core.clock import NS, FakeClock
    from edgeapp.core.dial import Dial

    clock = FakeClock()
    dial = Dial(3, clock)
    dial.want(Setting(2))
    dial.pin(Setting(1), for_s=3)
    assert (dial.wanted(), dial.pinned) == (Setting(1), Setting(1))
    clock.set_ns(3 * NS)
    assert (dial.wanted(), dial.pinned) == (Setting(2), None)
    dial.pin(Setting(0))
    clock.set_ns(10**6 * NS)
    assert dial.wanted() == Setting(0)
    dial.unpin()
    assert dial.wanted() == Setting(2)  # its lease has long expired: the floor
    with pytest.raises(ValueError, match="rung 3"):
        dial.pin(Setting(3))


def test_scripted_sources_can_be_asked_too(tmp_path: Path) -> None:
    """A pipeline that has finished still answers, as long as the process runs."""

    async def script(app: App, _verbs: Verbs) -> None:
        [frame] = await asked(tmp_path, "status", window_s=0)
        assert frame.facts["pipelines"][0]["state"] in {"running", "finished"}
        assert app.pipelines

    script_ = Script(*numbers(200))
    plan = chain(
        ("source", Scripted, {"script": script_, "rate_hz": 500.0}), ("t", Tap, {"into": []})
    )
    while_running(tmp_path, plan, script)


def test_clients_that_never_read_are_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is closed, too, though there is something left to send."""
    monkeypatch.setattr("edgeapp.service.control.server._SLOW_S", 0.05)

    async def much(_: Request) -> AsyncIterator[Frame]:
        yield Frame({}, bytes(4_000_000))

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def main() -> None:
        async with control_socket(tmp_path, {"much": much}, LogBook()):
            before = descriptors()
            clients = [socket.socket(socket.AF_UNIX) for _ in range(12)]
            for client in clients:
                client.connect(str(tmp_path / SOCKET))
                client.sendall(b'{"verb": "much"}\n')
            async with asyncio.timeout(60):
                await asyncio.sleep(0.05)
                while descriptors() > before + len(clients):
                    await asyncio.sleep(0.01)
            for client in clients:
                client.close()

    asyncio.run(main())


def test_a_client_that_breaks_off_leaves_no_error_behind(tmp_path: Path) -> None:
    """Closing with something unread resets the connection; that is nobody's bug."""
    told: list[dict[str, Any]] = []

    async def some(_: Request) -> AsyncIterator[Frame]:
        for _turn in range(100):
            yield Frame({}, bytes(1000))
            await asyncio.sleep(0.001)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
        async with control_socket(tmp_path, {"some": some}, LogBook()):
            for _ in range(5):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(tmp_path / SOCKET))
                    client.sendall(b'{"verb": "some"}\n')
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.05)

    asyncio.run(main())
    gc.collect()
    assert told == []


@pytest.mark.parametrize(
    "wanted", ["9" * 5_000, "\u0663", "\u00b2", "-1", "1.0", "", "{}"], ids=lambda text: text[:8]
)
def test_a_variant_that_cannot_be_meant_is_refused(wanted: str) -> None:
    variants = [SimpleNamespace(name="best"), SimpleNamespace(name="light")]
    stage = SimpleNamespace(id="detect", variants=variants)
    with pytest.raises(RefusedError, match="has no variant"):
        _rung(stage, wanted)  # type: ignore[arg-type]  # as much of a stage as it takes
    assert _rung(stage, "1") == _rung(stage, "light") == 1  # type: ignore[arg-type]  # as above
