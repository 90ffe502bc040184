"""The application as a whole: its uplink and view beside it, and the signals that stop it."""

import asyncio
import os
import signal
from typing import Any

import pytest

from edgeapp.runtime import supervise
from edgeapp.runtime.app import App, run_until_stopped
from edgeapp.runtime.supervise import keep_up
from edgeapp.testing import Pause, Script, Scripted
from tests.runtime.parts import Say, numbers
from tests.runtime.rig import Rig, chain
from tests.uplink import virtual
from tests.uplink.virtual import VirtualLoop


def app(rig: Rig, *items: Any) -> App:
    script = Script(*items)
    plan = chain(("source", Scripted, {"script": script}), ("say", Say, {}))
    return App([plan], rig.kit)


def test_the_uplink_is_told_to_settle_after_the_last_message(rig: Rig) -> None:
    seen: list[int] = []

    async def uplink(drained: asyncio.Event) -> None:
        await drained.wait()
        seen.append(len(rig.uplink.messages))

    outcomes = asyncio.run(run_until_stopped(app(rig, *numbers(200)), uplink))
    assert seen == [200]
    assert outcomes["test"].ending == "finished"


def test_an_uplink_or_view_that_crashes_is_logged_and_loses_no_outcome(rig: Rig) -> None:
    """The pipelines go on: actions on the device do not need the network."""

    async def uplink(_drained: asyncio.Event) -> None:
        raise ValueError("a bug")

    async def view(_app: App) -> None:
        raise ZeroDivisionError("another one")

    crashing = app(rig, *numbers(20))
    outcomes = asyncio.run(run_until_stopped(crashing, uplink, beside=view))
    assert outcomes["test"].ending == "finished"
    assert crashing.uplink_problem == "ValueError('a bug')"
    crashed = [facts["what"] for _, event, facts in rig.log.events if event == "crashed"]
    assert sorted(set(crashed)) == ["uplink", "what runs beside"]


def test_an_uplink_that_crashes_is_started_again_after_ever_longer_waits(rig: Rig) -> None:
    """And at once when all ends, so that it can put its things in order."""
    starts_s: list[float] = []

    async def uplink(drained: asyncio.Event) -> None:
        starts_s.append(asyncio.get_running_loop().time())
        if len(starts_s) < 8:
            raise ValueError("a bug")
        await drained.wait()

    async def story(loop: VirtualLoop) -> str:
        drained = asyncio.Event()
        loop.call_later(500.0, drained.set)
        return await keep_up("uplink", uplink, drained, rig.kit)

    assert virtual.play(story) == ""
    assert starts_s == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0]


def test_an_uplink_that_crashed_is_started_once_more_when_all_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its time has come, which on a busy machine is soon."""
    monkeypatch.setattr(supervise, "RESTART_FIRST_S", 3600.0)
    seen: list[bool] = []

    async def uplink(drained: asyncio.Event) -> None:
        seen.append(drained.is_set())
        if not drained.is_set():
            raise ValueError("a bug")

    crashing = app(rig, *numbers(20))
    asyncio.run(run_until_stopped(crashing, uplink))
    assert seen == [False, True]
    assert crashing.uplink_problem == ""


def test_a_second_signal_changes_nothing(rig: Rig) -> None:
    async def uplink(drained: asyncio.Event) -> None:
        await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await drained.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)

    outcomes = asyncio.run(run_until_stopped(app(rig, *numbers(3), Pause(3600)), uplink))
    assert outcomes["test"].ending == "stopped"


def test_time_being_up_stops_as_a_signal_does(rig: Rig) -> None:
    async def uplink(drained: asyncio.Event) -> None:
        await drained.wait()

    running = run_until_stopped(app(rig, *numbers(3), Pause(3600)), uplink, for_s=0.05)
    assert asyncio.run(running)["test"].ending == "stopped"


def test_an_application_that_stays_waits_for_its_stop_whatever_has_ended(rig: Rig) -> None:
    """As a service does, which also runs what is given to it later."""
    plan = chain(("source", Scripted, {"script": Script(*numbers(20))}), ("say", Say, {}))

    async def main() -> None:
        staying = App([], rig.kit, stays=True)
        stop = asyncio.Event()
        running = asyncio.ensure_future(staying.run(stop))
        await asyncio.sleep(0)
        await staying.change([], [plan])
        while staying.status()[0].state != "finished":
            await asyncio.sleep(0.001)
        done, _ = await asyncio.wait([running], timeout=0.05)
        assert not done
        stop.set()
        outcomes = await running
        assert outcomes["test"].ending == "finished"

    asyncio.run(main())
