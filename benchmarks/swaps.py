"""Swaps of models under load: what is lost, doubled or late when the ladder is climbed and left.

A worker runs a ladder in the whole runtime, at the pace that keeps the lane busy whichever rung
answers, and forces one swap after the other. With the drawn conveyor's ladder it knows what each model
says of each picture, so that a wrong word in a trail is seen; its periods are a few milliseconds, far
below those of a camera. Jitter is therefore taken from a detector of about 30 pictures a second
(YOLOX-Nano), and a twin of it that is another file and so another session.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.compare import DATA, REPO, Reading, Row, worker
from edgeapp.core.dial import Setting

SWAPS = 200
LEAST_LOAD = 0.8
FLOOR_S = 5.0
"""The last rung answers within so long, once nobody renews the lease, and what it takes to load."""

_LOAD, _CAMERA_LOAD = 0.9, 0.85  # what the pace aims at
_CAMERA_LADDER = ("yolox_nano", "twin")
_LADDER = ("conveyor_256", "conveyor_160", "conveyor_96")
_LOOK_S = 0.001
_STAY_S = (0.08, 0.25)
_LONG_S = 3600.0

PIPELINE = """
name: swaps
stages:
  belt: {{source: swap_pictures, when_full: wait, depth: 64}}
  detect: {{model: detector, layout: yolox, variants: [{variants}], labels: {labels}}}
  out: {{output: swap_answers}}
"""


class Run:
    """One application, what is asked of it, and what comes of it."""

    def __init__(self, folder: Path, *, seed: int, broken: bool, camera: bool) -> None:
        """Prepare.

        `broken`: the ladder ends with a file that is no model. `camera`: with the detector and its
        twin.
        """
        from benchmarks.apps import Device

        models = REPO / "pipelines" / "models"
        self.names = _CAMERA_LADDER if camera else _LADDER
        self.load = _CAMERA_LOAD if camera else _LOAD
        files = _twins(folder) if camera else [models / f"{name}.onnx" for name in _LADDER]
        labels = "[" + ", ".join(f"c{i}" for i in range(80)) + "]" if camera else None
        if broken:
            files.append(folder / "broken.onnx")
            files[-1].write_bytes(files[-2].read_bytes())
        text = PIPELINE.format(
            variants=", ".join(map(str, files)), labels=labels or models / "conveyor_labels.txt"
        )
        self.device = Device(folder)
        self.app = self.device.app([text])
        if broken:  # only now: the plan refuses what is broken already
            files[-1].write_bytes(files[-2].read_bytes()[:100_000])
        [self.pipeline] = self.app.pipelines
        stages = self.pipeline.plan.stages
        self.dial = self.pipeline.dials["detect"]
        self.meters = self.pipeline.meters["detect"]
        self.pictures: Any = stages["belt"].plugin.factory
        self.answers: Any = stages["out"].plugin.factory
        self.chance = random.Random(seed)
        self.cost_s: list[float] = []
        self.expected: list[list[str]] = []
        for rung in range(len(self.names)):
            self._measure(rung)
        self.loads: dict[int, list[float]] = defaultdict(list)
        self.floor_s: float | None = None

    def _measure(self, rung: int) -> None:
        """What a rung costs, and what it says of each picture."""
        from edgeapp.models.session import Pool
        from edgeapp.models.variant import opened
        from edgeapp.testing import context, packets

        images = sys.modules[self.pictures.__module__].pictures()
        stage, pool = self.pipeline.plan.stages["detect"], Pool(self.device.kit.clock)
        took_s, said = [], []
        with opened(stage, rung, context("detect"), pool) as variant:
            for packet in packets([*images, *images]):
                began_s = time.perf_counter()
                said.append(str(variant.answer(packet).value))
                took_s.append(time.perf_counter() - began_s)
        self.cost_s.append(statistics.median(took_s))
        self.expected.append(said[: len(images)])

    def go(self, script: Callable[[], Awaitable[None]]) -> Reading:
        """Run beside a script, to the end of both."""

        async def main() -> None:
            stop = asyncio.Event()
            running = asyncio.ensure_future(self.app.run(stop))
            try:
                await self._until(lambda: bool(self.answers.kept))
                await script()
            finally:
                stop.set()
                await running

        asyncio.run(main())
        return self._reading()

    async def _until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not met():  # noqa: ASYNC110 - the lane's thread tells nobody
                await asyncio.sleep(_LOOK_S)

    async def _answers_with(self, rung: int) -> None:
        await self._until(lambda: self.dial.actual.rung == rung)
        self._pace()

    def _pace(self) -> None:
        """Let pictures come as fast as the rung in use can just about answer."""
        self.pictures.period_s = self.cost_s[self.dial.actual.rung] / self.load

    # -- scripts ----------------------------------------------------------------------------

    async def stand(self, stays: int) -> None:
        """On the best rung for as long as so many swaps would take: what the machine itself does."""
        for _ in range(stays):
            self._pace()
            await self._stay()

    async def step(self, swaps: int) -> None:
        """From rung to rung, half of the time without standbys; then nobody asks any more."""
        for _ in range(swaps):
            others = set(range(len(self.names))) - {self.dial.actual.rung}
            wanted = Setting(self.chance.choice(sorted(others)))
            self.dial.want(wanted, lease_s=_LONG_S, standby=self.chance.random() < 0.5)
            await self._answers_with(wanted.rung)
            await self._stay()
        self.dial.want(Setting(0))
        await self._answers_with(0)
        self.dial.want(Setting(0))
        began_s = time.perf_counter()
        await self._answers_with(len(self.names) - 1)
        self.floor_s = time.perf_counter() - began_s

    async def _stay(self) -> None:
        """Let the rung in use work for a while, and see what it costs and how busy it is."""
        rung, meters = self.dial.actual.rung, self.meters
        began_s, busy_ns, calls, wall_ns = (
            time.perf_counter(),
            meters.busy_ns,
            meters.calls,
            meters.wall_ns,
        )
        await asyncio.sleep(self.chance.uniform(*_STAY_S) + 10 * self.pictures.period_s)
        self.loads[rung].append((meters.busy_ns - busy_ns) / 1e9 / (time.perf_counter() - began_s))
        if made := meters.calls - calls:  # the machine may be busier than a moment ago
            self.cost_s[rung] += 0.5 * ((meters.wall_ns - wall_ns) / 1e9 / made - self.cost_s[rung])

    async def go_wild(self, swaps: int) -> None:
        """Everything that may be asked of a dial, and pauses, in any order, waiting for nothing."""
        chance, dial = self.chance, self.dial
        for _ in range(swaps):
            wanted = Setting(chance.randrange(dial.rungs), chance.choice([0, 1, 1, 1, 2, 4]))
            match chance.choice(["want"] * 20 + ["pin", "unpin", "lapse", "pause"]):
                case "pin":
                    held = Setting(wanted.rung, max(1, wanted.divisor))
                    dial.pin(held, for_s=0.1, force=chance.random() < 0.5)
                case "unpin":
                    dial.unpin()
                case "lapse":
                    dial.want(wanted, lease_s=0.01)
                case "pause":
                    self.pipeline.pause("benchmark")
                    await asyncio.sleep(chance.uniform(0, 0.1))
                    self.pipeline.resume("benchmark")
                case _:
                    urgent, standby = chance.random() < 0.3, chance.random() < 0.7
                    dial.want(wanted, lease_s=_LONG_S, urgent=urgent, standby=standby)
            self._pace()
            await asyncio.sleep(chance.uniform(0, _STAY_S[0]))

    # -- what came of it --------------------------------------------------------------------

    def _reading(self) -> Reading:
        kept: list[tuple[int, Any]] = self.answers.kept
        keys = [packet.key for _, packet in kept]
        rungs = [packet.trail[-1].rung for _, packet in kept]
        wrong = sum(
            str(packet.value) != self.expected[rung][packet.seq % len(self.expected[rung])]
            or packet.trail[-1].variant != self.names[rung]
            for rung, (_, packet) in zip(rungs, kept, strict=True)
        )
        alike = sum(len(set(said)) < len(self.names) for said in zip(*self.expected, strict=True))
        [status] = self.app.status()
        waited_ms = [(at_ns - packet.taken_ns) / 1e6 for at_ns, packet in kept]
        jitter_ms = [abs(b - a) for a, b in pairwise(waited_ms)]
        period_ms = [
            max(self.cost_s[a], self.cost_s[b]) / self.load * 1e3 for a, b in pairwise(rungs)
        ]
        swapped = [j for j, (a, b) in zip(jitter_ms, pairwise(rungs), strict=True) if a != b]
        periods = sorted(j / period for j, period in zip(jitter_ms, period_ms, strict=True))
        emitted = self.pipeline.meters["belt"].emitted
        return {
            "emitted": emitted,
            "answered": len(keys),
            "doubled": len(keys) - len(set(keys)),
            "disordered": sum(b <= a for a, b in pairwise(keys)),
            "shed": self.meters.shed,
            "dropped": dict(sum((Counter(stage.dropped) for stage in status.stages), Counter())),
            "faults": self.meters.faults,
            "unaccounted": status.unaccounted(),
            "swaps": sum(a != b for a, b in pairwise(rungs)),
            "answered_by": [rungs.count(rung) for rung in range(len(self.names))],
            "wrong_trails": wrong,
            "alike": alike,
            "struck": sorted(self.dial.struck),
            "told": self.device.log.said("warning"),
            "load": {rung: statistics.median(loads) for rung, loads in self.loads.items()},
            "jitter_p99_periods": periods[round(0.99 * (len(periods) - 1))],
            "jitter_p50_ms": statistics.median(jitter_ms),
            "swap_jitter_p50_ms": statistics.median(swapped) if swapped else None,
            "swap_jitter_most_ms": max(swapped, default=None),
            "period_ms": [cost_s / self.load * 1e3 for cost_s in self.cost_s],
            "floor_s": self.floor_s,
        }


def _twins(folder: Path) -> list[Path]:
    """The detector, and a file that differs from it in a word that nobody reads."""
    import onnx

    first = DATA / "models" / f"{_CAMERA_LADDER[0]}.onnx"
    model = onnx.load(first)
    model.doc_string += " (twin)"
    twin = folder / f"{_CAMERA_LADDER[1]}.onnx"
    onnx.save(model, twin)
    return [first, twin]


def rows(swaps: int = SWAPS) -> list[Row]:
    """Measure."""
    seen = worker("swaps", "--swaps", swaps)
    camera = worker("swaps", "--swaps", swaps, "--camera")
    still = worker("swaps", "--swaps", swaps, "--camera", "--script", "stand")
    camera_load = min(camera["load"].values())
    lost = seen["emitted"] - seen["answered"]
    amiss = lost + seen["doubled"] + seen["disordered"] + seen["wrong_trails"]
    load = min(seen["load"].values())
    return [
        Row(
            f"{swaps} forced swaps: lost, doubled, out of order, wrong trail",
            "0",
            str(amiss),
            amiss == 0 and seen["swaps"] >= swaps and load >= LEAST_LOAD,
            f"{seen['emitted']} pictures, lane busy {100 * load:.0f} % on its laziest rung",
        ),
        Row(
            "forced swaps: p99 jitter of the answers",
            "< 1 period",
            f"{camera['jitter_p99_periods']:.2f}",
            camera["jitter_p99_periods"] < 1
            and camera["swaps"] >= swaps
            and camera_load >= LEAST_LOAD,
            f"without swaps {still['jitter_p99_periods']:.2f}; periods "
            + " ".join(f"{period_ms:.1f}" for period_ms in camera["period_ms"])
            + f" ms, lane busy {100 * camera_load:.0f} %; at a swap p50 "
            + f"{camera['swap_jitter_p50_ms']:.1f} ms; {camera['emitted'] - camera['answered']} lost",
        ),
        Row(
            "a governor that stalls: until the floor answers",
            f"<= {FLOOR_S:.0f} s + load",
            f"{seen['floor_s']:.2f} s",
            seen["floor_s"] <= FLOOR_S + 1.0,
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Work as a worker, or measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swaps", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--camera", action="store_true")
    parser.add_argument("--script", choices=("step", "stand", "wild"), default="step")
    given = parser.parse_args(arguments)
    if given.swaps is None:
        for row in rows():
            sys.stdout.write(f"{row}\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), seed=given.seed, broken=given.script == "wild", camera=given.camera)
        script = {"step": run.step, "stand": run.stand, "wild": run.go_wild}[given.script]
        reading = run.go(lambda: script(given.swaps))
    sys.stdout.write(json.dumps(reading) + "\n")


if __name__ == "__main__":
    main()
