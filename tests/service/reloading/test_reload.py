"""Pipeline files are read again; only what has changed starts anew, and nothing if one is wrong."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.plan.graph import Plan
from edgeapp.runtime.app import App
from edgeapp.runtime.kit import Kit
from edgeapp.service.control.server import RefusedError
from edgeapp.service.reloading.pipeline_files import Given, device_marks, load_or_good
from edgeapp.service.reloading.reload import Reload
from edgeapp.service.starts.good import GoodFiles
from tests.runtime.rig import Rig

PIPELINE = """
name: {name}
stages:
  bearing: {{source: bearing, rate_hz: 8000, seed: 7}}
  window: {{transform: window, length_s: {length_s}}}
  features: {{transform: features}}
  log: {{output: jsonl, file: out.jsonl, from: features}}
"""


class Bench:
    """Two pipeline files and a device file, running."""

    def __init__(self, folder: Path, *sets: str) -> None:
        self.rig = Rig(folder / "data")
        self.belt, self.yard = folder / "belt.yaml", folder / "yard.yaml"
        self.device = folder / "device.yaml"
        self.device.write_text("device: dev\n")
        self.write(self.belt, "belt")
        self.write(self.yard, "yard")
        self.given = Given((self.belt, self.yard), sets, self.device)
        self.config = DeviceConfig("dev", folder / "data", None, None)
        self.good: GoodFiles | None = None
        self.good_s = 0.3
        self.good_at_start: GoodFiles | None = None

    @staticmethod
    def write(file: Path, name: str, length_s: float = 0.05) -> None:
        file.write_text(PIPELINE.format(name=name, length_s=length_s))

    def run(
        self,
        script: Callable[[App, Reload], Awaitable[None]],
        equip: Callable[[Sequence[Plan], Kit], Kit] = lambda _, kit: kit,
        *,
        within_s: float = 30.0,
    ) -> None:
        async def main() -> None:
            marks = device_marks(self.device)
            loaded = load_or_good(
                self.given.listed(), self.given.load(self.config), self.good_at_start
            )
            app = App(loaded.plans, self.rig.kit, stays=True)
            reload = Reload(
                app,
                loaded,
                self.given,
                marks=marks,
                device=self.config,
                equip=equip,
                good=self.good,
                check_device=partial(read_device, self.device),
                good_s=self.good_s,
            )
            stop = asyncio.Event()
            running = asyncio.ensure_future(app.run(stop))
            await asyncio.sleep(0)
            try:
                async with asyncio.timeout(within_s):
                    await script(app, reload)
            finally:
                stop.set()
                await running

        asyncio.run(main())

    def seqs(self, name: str) -> list[int]:
        """The numbers of what a pipeline wrote."""
        lines = (self.rig.data_dir / name / "out.jsonl").read_text().splitlines()
        return [json.loads(line)["seq"] for line in lines]


async def until(met: Callable[[], bool]) -> None:
    while not met():
        await asyncio.sleep(0.005)


def lengths(app: App) -> dict[str, float]:
    found = {}
    for pipeline in app.pipelines:
        options = dict(pipeline.plan.stages["window"].options)
        found[pipeline.plan.name] = options["length_s"]
    return found


def test_what_changed_starts_anew_and_the_rest_loses_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        yard = app.pipelines[1]
        await until(lambda: yard.meters["log"].done > 0)
        bench.write(bench.belt, "belt", 0.1)
        done = await reload()
        assert str(done) == "belt started anew; yard unchanged"
        assert app.pipelines[1] is yard
        assert lengths(app) == {"belt": 0.1, "yard": 0.05}
        count = yard.meters["log"].done
        await until(lambda: yard.meters["log"].done > count)
        await until(lambda: app.pipelines[0].meters["log"].done > 0)

    bench.run(script)
    said = [facts for _, event, facts in bench.rig.log.events if event == "reloaded"]
    assert said == [{"started": "belt", "unchanged": "yard"}]
    seqs = bench.seqs("yard")
    steps = {after - before for before, after in pairwise(seqs)}
    assert len(steps) == 1, "nothing is missing in between"


def test_where_nothing_changed_nothing_happens_however_often(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        before = list(app.pipelines)
        for _ in range(3):
            assert str(await reload()) == "belt, yard unchanged"
        assert app.pipelines == before

    bench.run(script)


def test_if_one_file_is_wrong_everything_goes_on_as_it_was(tmp_path: Path) -> None:
    """Also the file that is right: all of it counts, or nothing."""
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        before = list(app.pipelines)
        bench.write(bench.belt, "belt", 0.1)
        bench.yard.write_text(bench.yard.read_text().replace("rate_hz: 8000", "rate_hx: 8000"))
        with pytest.raises(RefusedError) as caught:
            await reload()
        said = "nothing was changed: yard.yaml:4: source 'bearing' has no option 'rate_hx' "
        assert str(caught.value).startswith(said)
        assert "did you mean 'rate_hz'?" in str(caught.value)
        assert app.pipelines == before
        bench.write(bench.yard, "yard")
        assert str(await reload()) == "belt started anew; yard unchanged"

    bench.run(script)
    assert bench.rig.log.said("warning") == ["reload refused"]


def test_of_many_mistakes_a_few_are_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def script(_app: App, reload: Reload) -> None:
        stages = "".join(f"  s{n}: {{transform: {'x' * 500}, from: bearing}}\n" for n in range(40))
        bench.belt.write_text(bench.belt.read_text() + stages)
        with pytest.raises(RefusedError) as caught:
            await reload()
        assert len(str(caught.value)) < 1_500
        assert str(caught.value).endswith(" more")

    bench.run(script)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"[]", b"name: belt", None])
def test_a_file_that_is_nonsense_or_gone_changes_nothing(
    tmp_path: Path, content: bytes | None
) -> None:
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        before = list(app.pipelines)
        if content is None:
            bench.belt.unlink()
        else:
            bench.belt.write_bytes(content)
        with pytest.raises(RefusedError, match=r"nothing was changed: belt\.yaml"):
            await reload()
        assert app.pipelines == before

    bench.run(script)


@pytest.mark.parametrize(
    "put", [os.mkfifo, lambda file: file.symlink_to("/dev/zero"), lambda file: file.mkdir()]
)
def test_what_is_no_file_is_neither_waited_for_nor_read_to_its_end(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """Else a pipe in a file's place would end all commands, and a device all memory."""
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        before = list(app.pipelines)
        bench.belt.unlink()
        put(bench.belt)
        with pytest.raises(RefusedError, match=r"nothing was changed: belt\.yaml"):
            await reload()
        assert app.pipelines == before

    bench.run(script)


def test_what_was_set_on_the_command_line_stays_set(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "window.length_s=0.02")

    async def script(app: App, reload: Reload) -> None:
        bench.write(bench.belt, "belt", 0.1)
        await reload()
        assert lengths(app) == {"belt": 0.02, "yard": 0.02}

    bench.run(script)


def test_another_name_is_another_pipeline(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        bench.write(bench.belt, "band")
        assert str(await reload()) == "band started anew; belt gone; yard unchanged"
        assert {status.name for status in app.status()} == {"band", "yard"}

    bench.run(script)


def test_two_files_may_exchange_their_names(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        bench.write(bench.belt, "yard", 0.1)
        bench.write(bench.yard, "belt", 0.2)
        assert str(await reload()) == "yard, belt started anew"
        assert lengths(app) == {"yard": 0.1, "belt": 0.2}

    bench.run(script)


def test_a_changed_device_file_is_said_to_take_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def script(_app: App, reload: Reload) -> None:
        bench.device.write_text("device: other\n")
        for _ in range(2):
            assert str(await reload()) == (
                "belt, yard unchanged; the device file has changed, which takes a restart"
            )

    bench.run(script)


def test_a_device_file_with_a_mistake_is_told_before_a_restart_finds_it(tmp_path: Path) -> None:
    """The restart that it would take would end with it; nothing else is taken over meanwhile."""
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        bench.device.write_text("device: dev\nmqqt: {}\n")
        bench.write(bench.belt, "belt", 0.1)
        with pytest.raises(RefusedError, match=r"device.yaml:2: .*no option 'mqqt' \(did you mean"):
            await reload()
        assert lengths(app) == {"belt": 0.05, "yard": 0.05}
        bench.device.write_text("device: dev\n")
        assert (await reload()).started == ("belt",)

    bench.run(script)


PLUGIN = """
import edgeapp.api as api

@api.transform("{name}", stateless=True)
class Mine:
    {doc}
    def __init__(self, options: api.Options, context: api.Context) -> None: ...
    def process(self, packet: api.Packet[api.Features]) -> api.Features:
        return packet.value
"""


def plugin(name: str, doc: str = "'Mine.'") -> str:
    return PLUGIN.format(name=name, doc=doc)


def test_new_and_mended_plugins_are_seen_and_changed_ones_take_a_restart(tmp_path: Path) -> None:
    """Names of plugins are many: the file that is no Python is said before them."""
    bench = Bench(tmp_path)
    folder = tmp_path / "plugins"
    folder.mkdir()
    bench.config = replace(bench.config, plugins=folder)
    mine = folder / "reload_mine.py"

    async def script(app: App, reload: Reload) -> None:
        log = "log: {output: jsonl, file: out.jsonl, from: features}"
        through = log.replace("features", "mine")
        bench.belt.write_text(
            PIPELINE.format(name="belt", length_s=0.05).replace(
                log, f"mine: {{transform: reload_mine, from: features}}\n  {through}"
            )
        )
        mine.write_text("import this is no Python\n")
        no_python = r"no transform 'reload_mine' \(is it in here\? .*reload_mine.py:1 is not Python"
        with pytest.raises(RefusedError, match=no_python):
            await reload()
        mine.write_text(plugin("reload_mine", "1 / 0"))
        with pytest.raises(RefusedError, match=r"reload_mine\.py:6: ZeroDivisionError"):
            await reload()
        mine.write_text(plugin("reload_mine"))
        assert str(await reload()) == "belt started anew; yard unchanged"
        assert str(await reload()) == "belt, yard unchanged"

        mine.write_text(plugin("reload_mine", "'Mine, but another one.'"))
        (folder / "reload_more.py").write_text(plugin("reload_more"))
        said = "belt, yard unchanged; changed plugins take a restart: reload_mine.py"
        assert str(await reload()) == said
        assert {status.state for status in app.status()} <= {"starting", "running"}

    bench.run(script)


def test_what_a_pipeline_needs_and_cannot_have_is_said_before_anything_ends(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)

    def equip(plans: Sequence[Plan], _kit: Kit) -> Kit:
        raise RefusedError(f"no room for {plans[0].name}")

    async def script(app: App, reload: Reload) -> None:
        before = list(app.pipelines)
        bench.write(bench.belt, "belt", 0.1)
        with pytest.raises(RefusedError, match="no room for belt"):
            await reload()
        assert app.pipelines == before

    bench.run(script, equip)


def test_new_pipelines_get_what_is_given_for_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def script(app: App, reload: Reload) -> None:
        bench.write(bench.belt, "belt", 0.1)
        await reload()
        assert [pipeline.kit.drain_s for pipeline in app.pipelines] == [1.5, bench.rig.kit.drain_s]

    bench.run(script, lambda _plans, kit: replace(kit, drain_s=1.5))
