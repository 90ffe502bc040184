"""SIGTERM at any instant: the process ends with 0, and every packet is answered or counted."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.device import Running
from tests.servers.mosquitto import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PIPELINES = {
    "belt.yaml": """
name: belt
stages:
  belt: {source: conveyor, rate_hz: 60, size: [160, 120]}
  small: {transform: resize, size: [80, 60]}
  picture: {action: save_image, folder: pictures, keep_newest: 5, boxes: false}
""",
    "pump.yaml": """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 8000, fault: inner}
  window: {transform: window, length_s: 0.2, hop_s: 0.02}
  features: {transform: features}
  health: {transform: anomaly, learn_windows: 20}
  results: {output: jsonl, file: results.jsonl}
  note: {action: log, from: health}
""",
}
INSTANTS = 50


def _either(*conditions: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: any(condition() for condition in conditions)


@pytest.mark.parametrize("part", range(5))
def test_sigterm_at_random_instants(tmp_path: Path, part: int) -> None:
    """From the first millisecond on: before the start, while it opens, in full run."""
    chance = random.Random(part)
    files = []
    for name, text in PIPELINES.items():
        (tmp_path / name).write_text(text)
        files.append(tmp_path / name)
    answered = 0
    for number in range(INSTANTS // 5):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Running(folder, *files) as running:
            # Earlier, Python itself is not up yet and the signal's default ends it.
            wait_until(lambda: running.handles(signal.SIGTERM), "the command takes signals")
            if number % 2:  # every other one while it is at work
                results = folder / "data" / "pump" / "results.jsonl"
                wait_until(_either(running.ended, results.exists), "results")
                assert not running.ended(), running.log()
            time.sleep(chance.uniform(0, 2.0))
            code, summary = running.stop(signal.SIGTERM)
        log = running.log()
        assert code == 0, log
        assert "Traceback" not in log
        assert "unaccounted" not in log
        assert "stuck" not in log
        for pipeline in summary.get("pipelines", ()):
            assert pipeline["unaccounted"] == [], pipeline
            answered += sum(stage["done"] for stage in pipeline["stages"])
    assert answered > 0
    print(f"\n{INSTANTS // 5} stops, {answered} answers, all accounted for")
