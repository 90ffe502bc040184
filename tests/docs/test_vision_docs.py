"""What docs/vision.md shows works as it stands there."""

import re
from pathlib import Path

from edgeapp.config.device import read_device
from edgeapp.plan.load import load


def test_the_pipeline_of_the_page_passes_the_check(repo: Path, tmp_path: Path) -> None:
    page = (repo / "docs" / "vision.md").read_text(encoding="utf-8")
    [text] = re.findall(r"```yaml\n(name: porch\n.*?)```", page, re.DOTALL)
    file = tmp_path / "porch.yaml"
    file.write_text(text)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "yolox_nano.onnx").touch()
    device = read_device(environment={"STATE_DIRECTORY": str(tmp_path)})
    [plan] = load([file], device=device, open_models=False)
    assert {"follow", "visits", "gate", "door", "announce"} <= set(plan.stages)
