"""What docs/agriculture.md and docs/robots.md show works as it stands there."""

import re
from pathlib import Path

import pytest

from edgeapp.config.device import read_device
from edgeapp.plan.load import load


@pytest.mark.parametrize(
    ("page", "stages"),
    [("agriculture", {"eyes", "index", "health", "alarm"}), ("robots", {"eye", "marker", "steer"})],
)
def test_the_pipeline_of_the_page_passes_the_check(
    repo: Path, tmp_path: Path, page: str, stages: set[str]
) -> None:
    text = (repo / "docs" / f"{page}.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```yaml\n(name: .*?)```", text, re.DOTALL)
    variants = [example]
    for other in re.findall(r"```yaml\n( .*?)```", text, re.DOTALL):  # another way to write a stage
        name = other.split(":")[0]
        variants.append(re.sub(rf"(?m)^{name}:.*$", other.rstrip(), example))
    assert len(variants) == len(set(variants))
    for number, variant in enumerate(variants):
        file = tmp_path / f"{number}.yaml"
        file.write_text(variant)
        [plan] = load([file], device=read_device())
        assert stages <= set(plan.stages)
