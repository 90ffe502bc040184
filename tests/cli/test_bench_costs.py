"""`bench` keeps what it measured, for a governor on this very device and these very models."""

import json
from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from edgeapp.service.recordings.replay import sha256_of
from edgeapp.watchdog.costs import CostsError, read_costs

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def belt(tmp_path: Path, repo: Path) -> Path:
    """Two rungs, with an accuracy beside them."""
    models = repo / "pipelines" / "models"
    for name in ("conveyor_256.onnx", "conveyor_96.onnx", "accuracy.json"):
        if not (models / name).exists():
            pytest.skip(f"no {name} in {models}")
        (tmp_path / name).write_bytes((models / name).read_bytes())
    file = tmp_path / "belt.yaml"
    file.write_text(
        "name: belt\nstages:\n"
        "  belt: {source: conveyor, speed: fast, size: [320, 180]}\n"
        "  detect:\n    model: detector\n    layout: yolox\n    labels: [a, b, c]\n"
        "    variants: [conveyor_256.onnx, conveyor_96.onnx]\n"
        "  parts: {output: mqtt}\n"
    )
    return file


@pytest.mark.slow
def test_bench_writes_what_each_rung_costs_here(
    capsys: Capture, belt: Path, tmp_path: Path
) -> None:
    assert main(["bench", str(belt), "--frames", "15", "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    file = tmp_path / "state" / "costs" / "belt.json"
    assert said["costs_file"] == str(file)
    hashes = [sha256_of(tmp_path / f"conveyor_{size}.onnx") for size in (256, 96)]

    costs = read_costs(file, {"detect": hashes})

    source, detect, output = costs.stages
    large, small = detect.rungs
    assert (source.id, output.id) == ("belt", "parts")
    assert [len(stage.rungs) for stage in costs.stages] == [1, 2, 1]
    for rung in (large, small):
        assert rung.packets == 15
        assert rung.cpu_s
        assert rung.wall_p50_s
        assert rung.wall_p99_s
        assert rung.memory_mb
        assert rung.wall_p99_s >= rung.wall_p50_s
        assert rung.accuracy
    assert large.cpu_s
    assert small.cpu_s
    assert large.cpu_s > 1.5 * small.cpu_s  # seven times the pixels
    assert (large.accuracy or 0) > (small.accuracy or 0)
    assert source.rungs[0].sha256 is None
    assert source.rungs[0].memory_mb is None

    (tmp_path / "conveyor_96.onnx").write_bytes((tmp_path / "conveyor_256.onnx").read_bytes())
    changed = [sha256_of(tmp_path / f"conveyor_{size}.onnx") for size in (256, 96)]
    with pytest.raises(CostsError, match="other models of 'detect'"):
        read_costs(file, {"detect": changed})


def test_bench_keeps_nothing_if_told_so(capsys: Capture, pump: Path, tmp_path: Path) -> None:
    assert main(["bench", str(pump), "--frames", "5", "--no-write"]) == exits.OK
    assert "Kept in" not in capsys.readouterr().out
    assert not (tmp_path / "state" / "costs").exists()


def test_bench_without_a_model_keeps_what_the_stages_cost(
    capsys: Capture, pump: Path, tmp_path: Path
) -> None:
    assert main(["bench", str(pump), "--frames", "20"]) == exits.OK
    file = tmp_path / "state" / "costs" / "pump.json"
    assert f"Kept in {file}." in capsys.readouterr().out
    costs = read_costs(file, {})
    assert [stage.id for stage in costs.stages] == ["bearing", "second", "features"]
    assert all(stage.rungs[0].cpu_s for stage in costs.stages)


def test_where_it_cannot_be_kept_that_is_said_behind_the_table(
    capsys: Capture, pump: Path, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file in the way")
    assert main(["bench", str(pump), "--frames", "5"]) == exits.UNAVAILABLE
    shown = capsys.readouterr()
    assert "features" in shown.out
    assert "the costs cannot be kept" in shown.err
