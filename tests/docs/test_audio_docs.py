"""What docs/audio.md shows works as it stands there."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgeapp.config.device import read_device
from edgeapp.plan.load import load


def test_pipelines_have_no_mistake(repo: Path, tmp_path: Path) -> None:
    if find_spec("sounddevice") is None:
        pytest.skip("sounddevice is not installed")
    page = (repo / "docs" / "audio.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(name: .*?)```", page, re.DOTALL)
    names = re.findall(r"^name: (.+)$", page, re.MULTILINE)
    assert len(examples) == len(names) >= 3
    for name, text in zip(names, examples, strict=True):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "silero_vad.onnx").touch()  # the reader has it
    files = sorted(tmp_path.glob("*.yaml"))
    plans = load(files, device=read_device(), open_models=False)
    assert {plan.name for plan in plans} == set(names)
