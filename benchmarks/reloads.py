"""Reloads under load: one pipeline is reloaded again and again while another one answers.

A worker runs two pipelines with real models in one application, in the whole runtime. The file of
one is changed and reloaded, each time once the pipeline has answered again. What the other one loses
is seen by the numbers of its answers; what a reload leaves behind, by memory, files and threads.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.compare import REPO, Row, worker

RELOADS = 100
WARM_UP = 20
"""Reloads after which all that is loaded once is loaded."""
PERIOD_S = 1 / 30

PIPELINE = """
name: {name}
stages:
  pictures: {{source: swap_pictures, when_full: wait, depth: 64}}
  detect: {{model: detector, layout: yolox, variants: [{model}], labels: {labels}}}
  follow: {{transform: track}}
  out: {{output: jsonl, file: out.jsonl, from: detect, every_s: {every_s}}}
"""


def _pipeline(name: str, model: str, every_s: float) -> str:
    models = REPO / "pipelines" / "models"
    labels = models / "conveyor_labels.txt"
    return PIPELINE.format(name=name, model=models / model, labels=labels, every_s=every_s)


def _held() -> tuple[float, int, int]:
    """Resident memory in MB, open files, and threads of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    said = dict(line.split(":", 1) for line in status)
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  of names there is no need
    return int(said["VmRSS"].split()[0]) / 1024, files, int(said["Threads"])


def run(reloads: int) -> None:
    """Reload so often; print what came of it."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    from benchmarks.apps import PARTS, Device, temporary
    from edgeapp.config.device import DeviceConfig
    from edgeapp.models import session
    from edgeapp.runtime.app import App
    from edgeapp.service.reloading.pipeline_files import Given, load_or_good
    from edgeapp.service.reloading.reload import Reload
    from edgeapp.service.starts.good import GoodFiles

    loads: Counter[str] = Counter()
    really = session._load  # noqa: SLF001  to count what is loaded to be used

    def counted(file: Path, level: Any) -> Any:
        if level != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL:
            loads[file.name] += 1
        return really(file, level)

    session._load = counted  # noqa: SLF001

    async def main(folder: Path) -> dict[str, Any]:
        device = Device(folder)
        belt, yard = folder / "belt.yaml", folder / "yard.yaml"
        belt.write_text(_pipeline("belt", "conveyor_96.onnx", 0))
        yard.write_text(_pipeline("yard", "conveyor_160.onnx", 0))
        config = DeviceConfig("dev", folder, PARTS, None)
        given = Given((belt, yard))
        loaded = load_or_good(given.files, given.load(config), None)
        loaded.plans[0].stages["pictures"].plugin.factory.period_s = PERIOD_S
        app = App(loaded.plans, device.kit)
        reload = Reload(
            app,
            loaded,
            given,
            marks={},
            device=config,
            equip=lambda _, kit: kit,
            good=GoodFiles(folder),
        )
        stop = asyncio.Event()
        running = asyncio.ensure_future(app.run(stop))
        looking = asyncio.ensure_future(reload.run())
        other = app.pipelines[1]
        taken, held = [], []
        for number in range(reloads + 1):
            while not app.pipelines[0].meters["out"].done:  # noqa: ASYNC110  threads count it
                await asyncio.sleep(0.005)
            held.append(_held())
            if number == reloads:
                break
            belt.write_text(_pipeline("belt", "conveyor_96.onnx", 0.001 * (1 + number % 2)))
            began_s = time.perf_counter()
            await reload()
            taken.append(time.perf_counter() - began_s)
        same = app.pipelines[1] is other
        stop.set()
        await running
        looking.cancel()
        lines = (folder / "yard" / "out.jsonl").read_text().splitlines()
        answers = [json.loads(line) for line in lines]
        return {
            "same": same,
            "answers": len(answers),
            "missing": sum(a["seq"] != n for n, a in enumerate(answers)),
            "epochs": sorted({a["epoch"] for a in answers}),
            "dropped": [dict(m.dropped) for m in other.meters.values() if any(m.dropped.values())],
            "loads": dict(loads),
            "reload_ms": statistics.median(taken) * 1000,
            "held": held,
            "errors": device.log.said("error"),
        }

    with temporary() as folder:
        print(json.dumps(asyncio.run(main(Path(folder)))))


def measured() -> dict[str, Any]:
    """What came of the reloads, in a process of its own; growth is from `WARM_UP` to the end."""
    reading: dict[str, Any] = dict(worker(Path(__file__).stem, "--reloads", RELOADS))
    held = reading.pop("held")
    fifth = (len(held) - WARM_UP) // 5
    first, last = held[WARM_UP : WARM_UP + fifth], held[-fifth:]
    for position, name in enumerate(("rss_mb", "files", "threads")):
        before, after = (statistics.median(one[position] for one in part) for part in (first, last))
        reading[name], reading[f"{name}_grown"] = after, after - before
    return reading


def rows() -> list[Row]:
    """Measure."""
    found = measured()
    lost = found["missing"] + len(found["dropped"]) + (not found["same"])
    again = sum(found["loads"].values()) - len(found["loads"])
    grown = found["rss_mb_grown"]
    flat = found["files_grown"] <= 0 and found["threads_grown"] <= 0
    return [
        Row(
            f"{RELOADS} reloads beside a pipeline at work: what that loses",
            "0",
            str(lost),
            lost == 0,
            f"of {found['answers']:,} answers; a reload takes {found['reload_ms']:.0f} ms",
        ),
        Row(f"{RELOADS} reloads: models loaded again", "0", str(again), again == 0),
        Row(
            f"{RELOADS} reloads: memory grown after the first {WARM_UP}",
            "<= 3 MB",
            f"{grown:+.1f} MB",
            grown <= 3 and flat,
            f"files {found['files_grown']:+.0f}, threads {found['threads_grown']:+.0f}",
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int)
    chosen = parser.parse_args()
    if chosen.reloads is None:
        sys.stdout.writelines(f"{row}\n" for row in rows())
    else:
        run(chosen.reloads)
