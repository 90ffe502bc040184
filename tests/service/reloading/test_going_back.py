"""A pipeline that came with a reload and is not well goes back to its last good file, once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import FakeClock
from edgeapp.errors import ConfigError
from edgeapp.runtime.app import App
from edgeapp.service.control.server import RefusedError
from edgeapp.service.reloading.pipeline_files import Given, load_or_good
from edgeapp.service.reloading.reload import Reload
from edgeapp.service.starts.good import GoodFiles
from tests.runtime.rig import Rig
from tests.service.leaping import LeapingClock
from tests.service.reloading.test_reload import Bench, until

GRACE_S = 20.0
"""To open on a busy machine. Time leaps over it: no stage takes so long for one call to be stuck."""
PLUGIN = '''
import time
from edgeapp.api import Context, Field, Options, Packet, Signal, transform

class TroubleOptions(Options):
    kind: str = Field("none", description="Of which kind.")

@transform("trouble")
class Trouble:
    """Makes trouble."""

    def __init__(self, options: TroubleOptions, context: Context) -> None:
        self.kind = options.kind
        if self.kind == "opening":
            context.sleep(3600)

    def process(self, packet: Packet[Signal]) -> Signal:
        if self.kind == "raising":
            raise ValueError("trouble")
        if self.kind == "hanging":
            time.sleep(0.3)
        return packet.value
'''
PIPELINE = """
name: {name}
grace_s: {grace_s}
stages:
  bearing: {{source: bearing, rate_hz: 8000, seed: 7}}
  trouble: {{transform: trouble, kind: {kind}, hang_s: {hang_s}}}
  window: {{transform: window, length_s: 0.05}}
  log: {{output: log_nothing, from: window}}
"""
SINK = '''
from edgeapp.api import Context, Message, Options, Packet, Payload, output

class NothingOptions(Options):
    pass

@output("log_nothing")
class Nothing:
    """Says nothing."""

    def __init__(self, options: NothingOptions, context: Context) -> None:
        pass

    def encode(self, packet: Packet[Payload]) -> Message | None:
        return None
'''


class Troubled(Bench):
    """Two pipelines of which one can make trouble."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.clock = LeapingClock()
        self.rig = Rig(folder / "data", self.clock)
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / f"trouble_{folder.name}.py").write_text(PLUGIN)
        (plugins / f"nothing_{folder.name}.py").write_text(SINK)
        self.config = DeviceConfig("dev", folder / "data", plugins, None)
        self.good = GoodFiles(folder / "data")
        self.put(self.belt)
        self.put(self.yard)

    @staticmethod
    def put(file: Path, kind: str = "none", *, name: str = "", grace_s: float = GRACE_S) -> str:
        hang_s = 0.05 if kind == "hanging" else 30  # a busy machine makes the others wait, too
        name = name or file.stem
        text = PIPELINE.format(name=name, kind=kind, hang_s=hang_s, grace_s=grace_s)
        file.write_text(text)
        return text

    def kept(self, file: Path) -> str | None:
        text = GoodFiles(self.rig.data_dir).text_of(file)
        return None if text is None else text.decode()

    def errors(self) -> list[str]:
        return [event for event in self.rig.log.said("error") if "pipeline went" in event]


@pytest.fixture
def bench(tmp_path: Path) -> Troubled:
    return Troubled(tmp_path)


async def looking(reload: Reload, met: Callable[[], bool]) -> None:
    """Look again and again until that is so."""
    while not met():
        await reload.look()
        await asyncio.sleep(0.01)


async def well_for_its_time(
    bench: Troubled, app: App, reload: Reload, met: Callable[[], bool]
) -> None:
    """Look again and again until that is so, as the time of all that run is over."""
    await until(lambda: all(one.state == "running" for one in app.pipelines))
    bench.clock.leap(GRACE_S)
    await looking(reload, met)


def kinds(app: App) -> dict[str, str]:
    found = {}
    for pipeline in app.pipelines:
        options: Any = pipeline.plan.stages["trouble"].options
        found[pipeline.plan.name] = options.kind
    return found


def test_a_file_is_kept_once_its_pipeline_was_well_for_its_time(bench: Troubled) -> None:
    async def script(app: App, reload: Reload) -> None:
        assert bench.kept(bench.belt) is None
        await looking(reload, lambda: None not in {bench.kept(bench.belt), bench.kept(bench.yard)})
        assert bench.kept(bench.belt) == bench.belt.read_text()
        bench.put(bench.belt, "other")
        await reload()
        text = bench.belt.read_text()
        assert bench.kept(bench.belt) != text
        await well_for_its_time(bench, app, reload, lambda: bench.kept(bench.belt) == text)

    bench.run(script)


def test_what_makes_a_start_healthy_is_kept_however_long_its_grace(bench: Troubled) -> None:
    """Grace is for what comes with a reload: a start must not be healthy with nothing to go back to."""
    for file in (bench.belt, bench.yard):
        bench.put(file, grace_s=3600)
    at_start = bench.belt.read_text()

    async def script(app: App, reload: Reload) -> None:
        await looking(reload, lambda: None not in {bench.kept(bench.belt), bench.kept(bench.yard)})
        assert bench.kept(bench.belt) == at_start
        bench.put(bench.belt, "other", grace_s=3600)
        text = bench.put(bench.yard, "other")
        await reload()
        await well_for_its_time(bench, app, reload, lambda: bench.kept(bench.yard) == text)
        assert bench.kept(bench.belt) == at_start

    bench.run(script)


def test_a_short_grace_makes_nothing_good_that_would_make_no_start_healthy(
    bench: Troubled,
) -> None:
    """Else what crashes a little later takes the place of what was good, and of the way back."""
    bench.good_s = 20.0
    clock = FakeClock()

    async def script(app: App, reload: Reload) -> None:
        bench.put(bench.belt, "other")
        await reload()
        await until(lambda: app.pipelines[0].state == "running")
        trial = reload._on_trial[bench.belt].trial
        trial._clock = clock
        trial.again()
        clock.advance(19)
        await reload.look()
        assert bench.kept(bench.belt) is None
        clock.advance(1)
        await reload.look()
        assert bench.kept(bench.belt) == bench.belt.read_text()

    bench.run(script)


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("raising", "it failed: stage 'trouble' keeps raising: ValueError('trouble')"),
        ("hanging", "it is stuck: in one call for too long: trouble"),
        ("opening", f"it did not open within {GRACE_S:g} s"),
    ],
)
def test_what_is_not_well_goes_back_and_is_not_tried_again(
    bench: Troubled, trouble: str, why: str
) -> None:
    async def script(app: App, reload: Reload) -> None:
        yard = app.pipelines[1]
        await looking(reload, lambda: bench.kept(bench.belt) is not None)
        bench.put(bench.belt, trouble)
        await reload()
        assert kinds(app)["belt"] == trouble
        if trouble == "opening":
            bench.clock.leap(GRACE_S)
        await looking(reload, lambda: bench.errors() != [])
        assert kinds(app) == {"belt": "none", "yard": "none"}
        [one] = reload.notice().last_good
        assert (one.pipeline, one.file, one.why) == ("belt", "belt.yaml", why)
        assert app.pipelines[1] is yard, "the other noticed nothing"
        belt = app.pipelines[0]
        for _ in range(2):
            bench.belt.touch()
            done = await reload()
            assert done.on_last_good == ("belt",)
            assert str(done).startswith("yard unchanged; belt on the last good file")
        assert app.pipelines[0] is belt
        bench.put(bench.belt, "other")
        await reload()
        assert kinds(app)["belt"] == "other"
        assert reload.notice().last_good == ()

    bench.run(script)
    assert len(bench.errors()) == 1


def test_it_goes_back_to_what_ran_well_where_nothing_is_kept_yet(bench: Troubled) -> None:
    async def script(app: App, reload: Reload) -> None:
        await until(lambda: all(one.state == "running" for one in app.pipelines))
        bench.put(bench.belt, "raising")
        await reload()
        await looking(reload, lambda: kinds(app)["belt"] == "none")

    bench.run(script)


def test_where_there_is_nothing_to_go_back_to_it_goes_on(bench: Troubled) -> None:
    """At the start, too: a pipeline that fails is reopened after a while, as ever."""
    bench.put(bench.belt, "raising")

    async def script(app: App, reload: Reload) -> None:
        await until(lambda: app.pipelines[0].state == "failed")
        await reload.look()
        assert kinds(app)["belt"] == "raising"
        assert reload.notice().last_good == ()
        bench.put(bench.belt, "none")
        assert str(await reload()) == "belt started anew; yard unchanged"
        text = bench.belt.read_text()
        await well_for_its_time(bench, app, reload, lambda: bench.kept(bench.belt) == text)

    bench.run(script)


def test_the_good_text_put_back_by_hand_clears_the_notice(bench: Troubled) -> None:
    async def script(app: App, reload: Reload) -> None:
        await looking(reload, lambda: bench.kept(bench.belt) is not None)
        good = bench.belt.read_text()
        bench.put(bench.belt, "raising")
        await reload()
        await looking(reload, lambda: bench.errors() != [])
        belt = app.pipelines[0]
        bench.belt.write_text(good)
        assert str(await reload()) == "belt, yard unchanged"
        assert reload.notice().last_good == ()
        assert app.pipelines[0] is belt

    bench.run(script)


def test_a_good_file_that_cannot_be_kept_is_said_once_and_known_all_the_same(
    bench: Troubled, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    bench.good = GoodFiles(tmp_path / "file")

    async def script(app: App, reload: Reload) -> None:
        await looking(reload, lambda: not reload._on_trial)
        bench.put(bench.belt, "raising")
        await reload()
        await looking(reload, lambda: kinds(app)["belt"] == "none")

    bench.run(script)
    assert bench.rig.log.said("warning").count("good file cannot be kept") == 1


# -- a folder -----------------------------------------------------------------------------------


def in_folder(bench: Troubled) -> Path:
    folder = bench.belt.parent / "pipelines"
    folder.mkdir()
    for name in ("belt", "yard"):
        (bench.belt.parent / f"{name}.yaml").rename(folder / f"{name}.yaml")
    bench.belt, bench.yard = folder / "belt.yaml", folder / "yard.yaml"
    bench.given = Given((bench.belt, bench.yard), (), bench.device, folder)
    return folder


def test_in_a_folder_new_files_start_and_removed_ones_end(bench: Troubled) -> None:
    folder = in_folder(bench)

    async def script(app: App, reload: Reload) -> None:
        await looking(reload, lambda: bench.kept(bench.belt) is not None)
        yard = app.pipelines[1]
        bench.put(folder / "gate.yaml")
        assert str(await reload()) == "gate started anew; belt, yard unchanged"
        bench.belt.unlink()
        assert str(await reload()) == "belt gone; gate, yard unchanged"
        assert bench.kept(bench.belt) is None, "it is not to come back"
        assert app.pipelines[0] is yard
        for file in folder.iterdir():
            file.unlink()
        assert str(await reload()) in {"yard, gate gone", "gate, yard gone"}
        assert app.pipelines == []
        bench.put(bench.belt)
        assert str(await reload()) == "belt started anew"
        folder.rename(folder.with_name("away"))
        folder.write_text("")
        with pytest.raises(RefusedError, match="this is a file, not a folder"):
            await reload()
        assert reload.notice().refused.startswith("nothing was changed: pipelines: this is a file")

    bench.run(script)


def test_a_wrong_file_at_the_start_is_replaced_by_its_last_good_text(bench: Troubled) -> None:
    in_folder(bench)
    assert bench.good is not None
    bench.good_at_start = bench.good
    bench.good.keep(bench.belt, bench.belt.read_bytes())
    bench.belt.write_text(bench.belt.read_text().replace("length_s", "length_x"))

    async def script(app: App, reload: Reload) -> None:
        [one] = reload.notice().last_good
        assert one.pipeline == "belt"
        assert one.why.startswith("belt.yaml:7: transform 'window' has no option 'length_x'")
        assert kinds(app) == {"belt": "none", "yard": "none"}
        with pytest.raises(RefusedError, match="length_x"):
            await reload()
        assert len(reload.notice().last_good) == 1
        bench.put(bench.belt, "other")
        assert str(await reload()) == "belt started anew; yard unchanged"
        assert reload.notice().last_good == ()
        assert reload.notice().refused == ""

    bench.run(script)
    assert bench.rig.log.said("error")[0] == "file is wrong, its last good text runs"


@pytest.mark.parametrize("kept", [False, True])
def test_without_a_good_text_a_wrong_file_is_said_as_ever(bench: Troubled, kept: bool) -> None:
    """Also where the text that was good is not any more."""
    assert bench.good is not None
    bench.belt.write_text("name: belt")
    if kept:
        bench.good.keep(bench.belt, b"name: bolt")
    load = bench.given.load(bench.config)
    with pytest.raises(ConfigError) as caught:
        load_or_good(bench.given.listed(), load, bench.good)
    assert [one.problem for one in caught.value.complaints] == ["the pipeline has no stages"]


def test_a_change_in_conf_d_takes_a_restart_too(bench: Troubled) -> None:
    async def script(_app: App, reload: Reload) -> None:
        assert not (await reload()).device_changed
        extra = bench.device.parent / "conf.d" / "10-extra.yaml"
        extra.parent.mkdir()
        extra.write_text("device: other")
        assert (await reload()).device_changed
        assert reload.notice().restart_needed
        extra.unlink()
        assert not (await reload()).device_changed
        assert not reload.notice().restart_needed

    bench.run(script)
