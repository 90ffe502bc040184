"""Neighbours take the cores of this very machine: the watchdog sheds, says why, and takes it back.

No sensor of this machine takes part: load, pressure, and what a call takes, are the only signals.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeapp.watchdog.costs import Costs, costs_file
from tests.pipelines.device import COMMAND, Running
from tests.servers.mosquitto import Listener, Mosquitto, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

SystemProgram = Callable[[str, str], str]

LANE_SHARE = 0.45
"""Of its time that the lane is busy on the best rung, while nobody disturbs."""
HOGS_A_CORE = 6
BUSY = 1.5
"""Wall time over CPU time of a thread that only counts, from which on this machine has no core to
spare."""
SETTLED_S = 8.0
STATE = "edgeapp/test/governor/state"
BEST = (0, 1)


@pytest.fixture
def belt(tmp_path: Path, repo: Path) -> Path:
    """A pipeline with three rungs, its costs measured, as fast as its best rung can bear."""
    models = repo / "pipelines" / "models"
    listed = [models / f"conveyor_{size}.onnx" for size in (256, 160, 96)]
    if not all(model.exists() for model in listed):
        pytest.skip(f"the conveyor models are not in {models}")
    if (stretch := _stretch()) > BUSY:
        pytest.skip(
            f"this machine is busy: a thread waits {stretch - 1:.0%} of its time for a core"
        )
    file = tmp_path / "belt.yaml"

    def write(rate_hz: float) -> None:
        file.write_text(
            "name: belt\nstages:\n"
            f"  belt: {{source: conveyor, rate_hz: {rate_hz:.3f}, size: [320, 180]}}\n"
            "  detect:\n    model: detector\n    layout: yolox\n"
            f"    labels: {models / 'conveyor_labels.txt'}\n"
            f"    variants: [{', '.join(map(str, listed))}]\n    deadline_ms: 500\n"
            "  parts: {output: mqtt}\n"
        )

    write(10)
    device = tmp_path / "bench.yaml"
    device.write_text(f"data_dir: {tmp_path / 'data'}\n")
    bench: list[str | Path] = [COMMAND, "bench", file, "--for", "2s", "--device", device]
    subprocess.run(bench, check=True, capture_output=True, timeout=120)
    import msgspec

    text = costs_file(tmp_path / "data", "belt").read_bytes()
    costs = msgspec.json.decode(text, type=Costs)
    whole_s = sum(stage.rungs[0].cpu_s or 0.0 for stage in costs.stages)
    write(LANE_SHARE / whole_s)
    return file


@pytest.fixture
def broker(system_program: SystemProgram, tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with Mosquitto(system_program("mosquitto", "mosquitto"), folder) as running:
        yield running


def test_a_hog_is_answered_by_shedding_and_its_end_by_climbing(
    belt: Path, broker: Mosquitto, system_program: SystemProgram, tmp_path: Path
) -> None:
    sub = system_program("mosquitto_sub", "mosquitto-clients")
    topics = ("edgeapp/test/governor/#", "edgeapp/test/belt/parts", "edgeapp/test/status")
    with (
        Listener(sub, broker.port, *topics) as listener,
        Running(tmp_path, belt, port=broker.port) as app,
    ):

        def chosen() -> tuple[int, int]:
            said = listener.payloads(STATE)
            if not said or not (stages := json.loads(said[-1])["stages"]):
                return (-1, -1)
            return stages[0]["rung"], stages[0]["divisor"]

        wait_until(lambda: chosen() == BEST, "the best is chosen", patience_s=60)
        time.sleep(SETTLED_S)
        assert chosen() == BEST, listener.payloads(STATE)
        [signals] = listener.payloads("edgeapp/test/governor/signals")
        assert "load" in json.loads(signals)["acts_on"]
        assert decisions(app) == []

        with hogs(HOGS_A_CORE * (os.cpu_count() or 1)):
            wait_until(lambda: chosen() != BEST, "less is chosen", patience_s=60)
            shed = chosen()
            [line, *_] = decisions(app)
            assert set(line["detectors"].split(", ")) & {"contention", "pressure"}, line
            assert line["device_level"] in {"fair", "serious"}
            assert line["binding"] in {"cpu", "latency"}
            with Listener(sub, broker.port, STATE, client_id="late") as late:
                wait_until(lambda: late.payloads(STATE) != [], "the state is retained")
                [first, *_] = late.arrivals
                assert first.retained
                assert json.loads(first.payload)["stages"][0]["variant"].startswith("conveyor_")
            time.sleep(SETTLED_S)
        wait_until(lambda: chosen() == BEST, f"{shed} is taken back", patience_s=240)

        code, summary = app.stop()
        assert code == 0
        listener.wait_for("edgeapp/test/status", "stopped")  # behind all that was found
        told = [json.loads(payload) for payload in listener.payloads("edgeapp/test/belt/parts")]
        check_all_accounted_for(summary, told)


def check_all_accounted_for(summary: dict[str, Any], told: Sequence[dict[str, Any]]) -> None:
    """Every picture was answered once, or counted with its reason."""
    [pipeline] = summary["pipelines"]
    assert pipeline["unaccounted"] == []
    source, detect, parts = pipeline["stages"]
    seen = [(message["epoch"], message["seq"]) for message in told]
    assert len(seen) == len(set(seen))
    assert len(seen) == parts["done"] == detect["emitted"]
    assert seen == sorted(seen)
    left_out = detect["shed"] + sum(detect["dropped"].values())
    assert source["emitted"] == len(seen) + left_out
    assert detect["shed"] or {message["rung"] for message in told} != {0}


def decisions(app: Running) -> list[dict[str, Any]]:
    """The log lines of decisions that changed something."""
    lines = [json.loads(line) for line in app.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "models chosen"]


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Processes that want a core each, all the time."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def _stretch() -> float:
    """How much longer a second of work takes than it would alone."""
    wall_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
    while time.thread_time_ns() - cpu_ns < 500_000_000:
        pass
    return (time.perf_counter_ns() - wall_ns) / (time.thread_time_ns() - cpu_ns)
