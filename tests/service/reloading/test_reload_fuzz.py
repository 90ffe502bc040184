"""Whatever a pipeline file turns into: what runs stays, or is exchanged, and nothing secret is said."""

import asyncio
import random
from pathlib import Path

import pytest

from edgeapp.errors import ConfigError
from edgeapp.runtime.app import App
from edgeapp.service.control.server import RefusedError
from edgeapp.service.reloading.pipeline_files import said_of
from edgeapp.service.reloading.reload import Reload
from tests.service.reloading.test_reload import Bench

SECRET = "hunter2-and-more"
CAMERA = f"""
name: belt
about: An URL with a password in it.
stages:
  camera: {{source: camera, device: "rtsp://admin:{SECRET}@10.0.0.7:554/main", rate_hz: 15}}
  every: {{transform: every, seconds: 1}}
  picture: {{output: snapshot, class: bulk}}
  hook: {{action: webhook, url: "https://x:{SECRET}@10.0.0.8/y", from: every}}
"""
_CHARACTERS = "abcxyz019 :,-_{}[]'\"#&*!|>%@\n\t\\é\x00"  # none that a path could lead away with
_WORDS = ("true", "null", "-1", "1e999", "[]", "{}", "''", "stages", "from", "transform", "0x1F")


def mutated(text: str, chance: random.Random) -> bytes:
    """The text with a few things wrong, or another order."""
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        lines = text.splitlines(keepends=True)
        at = chance.randrange(len(text) + 1)
        match chance.randrange(7):
            case 0:
                text = text[:at] + chance.choice(_CHARACTERS) + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randrange(1, 9) :]
            case 2 if lines:
                del lines[chance.randrange(len(lines))]
                text = "".join(lines)
            case 3 if lines:
                lines.append(chance.choice(lines))
                text = "".join(lines)
            case 4 if lines:
                chance.shuffle(lines)
                text = "".join(lines)
            case 5:
                words = text.split(" ")
                words[chance.randrange(len(words))] = chance.choice(_WORDS)
                text = " ".join(words)
            case _:
                text = text[:at]
    data = text.encode()
    if chance.random() < 0.05:
        at = chance.randrange(len(data) + 1)
        data = data[:at] + bytes([chance.randrange(128, 256)]) + data[at:]
    return data


@pytest.mark.parametrize(
    "count", [40, pytest.param(1_500, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_what_runs_stays_or_is_exchanged(tmp_path: Path, count: int) -> None:
    bench = Bench(tmp_path)
    good, chance = bench.belt.read_text(), random.Random(count)
    said: list[str] = []
    exchanged = 0

    async def script(app: App, reload: Reload) -> None:
        nonlocal exchanged
        yard = app.pipelines[1]
        for _ in range(count):
            before = list(app.pipelines)
            bench.belt.write_bytes(mutated(good, chance))
            count_before = len(said)
            try:
                await reload()
            except RefusedError as error:
                said.append(str(error))
            if len(said) > count_before:
                assert app.pipelines == before
            exchanged += app.pipelines != before
            assert yard in app.pipelines
            assert len(app.pipelines) == 2
            assert yard.state in {"starting", "running"}
        bench.belt.write_text(good)
        await reload()
        assert {one.plan.name for one in app.pipelines} == {"belt", "yard"}
        async with asyncio.timeout(60):
            while any(one.state != "running" for one in app.pipelines):
                await asyncio.sleep(0.005)

    bench.run(script, within_s=500)
    assert len(said) > count / 3
    assert all(one.startswith("nothing was changed: ") and len(one) < 1_500 for one in said)
    assert exchanged > count / 60
    assert "crashed" not in bench.rig.log.said("error")


@pytest.mark.parametrize(
    "count", [40, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_no_complaint_holds_a_secret(tmp_path: Path, count: int) -> None:
    bench = Bench(tmp_path)
    load, chance = bench.given.load(bench.config), random.Random(count)
    said: list[str] = []
    for _ in range(count):
        try:
            load((bench.belt,), {bench.belt: mutated(CAMERA, chance)})
        except ConfigError as error:
            said.append(said_of(error.complaints))
    assert len(said) > count / 3
    assert not [one for one in said if SECRET in one]
