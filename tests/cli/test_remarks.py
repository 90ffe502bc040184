"""What `edgeapp check` tells beside «ok»."""

import json
from pathlib import Path

import pytest

from edgeapp.cli import main

PIPELINE = """
name: belt
stages:
  camera: {source: conveyor}
  clip: {action: save_clip, folder: clips, width: 640, rate_hz: 10, pre_s: 8}
"""


def test_check_tells_what_a_stage_will_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each remark, below that of the pipeline; in JSON at the stage."""
    (tmp_path / "belt.yaml").write_text(PIPELINE)
    assert main(["check", str(tmp_path / "belt.yaml")]) == 0
    first, cost = capsys.readouterr().out.splitlines()
    assert first.startswith("ok: belt: 2 stages")
    assert cost.startswith(
        "  clip: the last 10 s are kept in memory: about 2.3 MB at 10 pictures/s"
    )

    assert main(["check", "--json", str(tmp_path / "belt.yaml")]) == 0
    stages = json.loads(capsys.readouterr().out)["pipelines"][0]["stages"]
    assert [len(stage["remarks"]) for stage in stages] == [0, 1]
