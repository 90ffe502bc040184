"""What docs/pipelines.md and docs/plugins.md show works as it stands there."""

import re
from pathlib import Path

from edgeapp.config.device import read_device
from edgeapp.config.pipeline import RESERVED
from edgeapp.core.plugin import KINDS
from edgeapp.plan.load import load
from edgeapp.plan.tuning import settings_of, tuned


def blocks(file: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)


def test_the_pipeline_and_the_device_file_are_right(repo: Path, tmp_path: Path) -> None:
    pipeline, device = blocks(repo / "docs" / "pipelines.md", "yaml")
    (tmp_path / "pipeline.yaml").write_text(pipeline)
    (tmp_path / "device.yaml").write_text(device)

    config = read_device(tmp_path / "device.yaml")

    assert config.mqtt
    assert config.mqtt.port == 8883
    assert load([tmp_path / "pipeline.yaml"], device=config)[0].name == "pump-7"


def test_the_plugin_works_in_a_pipeline_and_in_its_test(repo: Path, tmp_path: Path) -> None:
    plugin, _, test, memory = blocks(repo / "docs" / "plugins.md", "python")
    [stage] = blocks(repo / "docs" / "plugins.md", "yaml")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "scale.py").write_text(plugin)
    (tmp_path / "device.yaml").write_text("device: test")
    above = "  s: {source: bearing}\n  f: {transform: features}\n  a: {transform: anomaly}\n"
    (tmp_path / "a.yaml").write_text(f"name: a\nstages:\n{above}{stage}")

    [plan] = load([tmp_path / "a.yaml"], device=read_device(tmp_path / "device.yaml"))
    names: dict[str, object] = {}
    exec(plugin + test + memory, names)
    for name in ("test_scale_halves", "test_an_alert_lasts_over_a_reload"):
        run = names[name]
        assert callable(run)
        run()

    assert plan.stages["calmer"].plugin.name == "scale"


def test_the_plugin_with_a_live_option_can_be_tuned(repo: Path, tmp_path: Path) -> None:
    _, plugin, *_ = blocks(repo / "docs" / "plugins.md", "python")
    [stage] = blocks(repo / "docs" / "plugins.md", "yaml")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "live_scale.py").write_text(plugin)
    (tmp_path / "device.yaml").write_text("device: test")
    above = "  s: {source: bearing}\n  f: {transform: features}\n  a: {transform: anomaly}\n"
    (tmp_path / "a.yaml").write_text(f"name: a\nstages:\n{above}{stage}")

    [plan] = load([tmp_path / "a.yaml"], device=read_device(tmp_path / "device.yaml"))

    changed = tuned(plan.stages["calmer"], "factor", "0.4")
    assert settings_of(changed) == {"factor": 0.4}


def test_every_reserved_key_is_in_the_docs(repo: Path) -> None:
    page = (repo / "docs" / "plugins.md").read_text(encoding="utf-8")

    for key in RESERVED - set(KINDS):
        assert f"`{key}`" in page, key
