"""Pipelines as a governor sees them: what each rung costs, and what is known of that."""

from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.service.governing.tenants import (
    ASSUMED_ACCURACY,
    ASSUMED_CPU_S,
    ASSUMED_STEP,
    hosted,
    tenant_of,
    without_accuracy,
)
from edgeapp.watchdog.costs import (
    VERSION,
    Costs,
    RungCosts,
    StageCosts,
    costs_file,
    this_device,
    write_costs,
)

MODELS = ("conveyor_256.onnx", "conveyor_160.onnx", "conveyor_96.onnx")


@pytest.fixture
def belt(tmp_path: Path, repo: Path) -> Plan:
    """A camera, something light before the model that a gate spares, and what reads its answers."""
    return _plan(tmp_path, repo, "")


def _plan(folder: Path, repo: Path, top: str, variants: str = "") -> Plan:
    models = repo / "pipelines" / "models"
    if not (models / MODELS[0]).exists():
        pytest.skip(f"no {MODELS[0]} in {models}")
    listed = variants or ", ".join(str(models / name) for name in MODELS)
    file = folder / "belt.yaml"
    file.write_text(
        f"name: belt\n{top}stages:\n"
        "  belt: {source: conveyor, rate_hz: 10, size: [320, 180]}\n"
        "  small: {transform: resize, size: [160, 90]}\n"
        "  detect:\n    model: detector\n    layout: yolox\n    labels: [a, b, c]\n"
        f"    deadline_ms: 250\n    variants: [{listed}]\n"
        "  faulty: {transform: keep, label: [a]}\n"
        "  parts: {output: mqtt}\n"
        "  all: {output: snapshot, from: belt, every_s: 1}\n"
    )
    [plan] = load([file], device=_device(folder), open_models=False)
    return plan


def _device(folder: Path) -> DeviceConfig:
    return DeviceConfig("d", folder, None, None)


def _costs(plan: Plan, *, answered: int = 100) -> Costs:
    def rung(cpu_s: float, packets: int = 100, **facts: object) -> RungCosts:
        return RungCosts(packets, cpu_s, cpu_s, cpu_s * 1.5, **facts)  # type: ignore[arg-type]

    from edgeapp.service.recordings.replay import sha256_of

    detect = tuple(
        rung(
            cpu_s,
            answered,
            variant=variant.name,
            sha256=sha256_of(variant.file),
            memory_mb=memory_mb,
            accuracy=accuracy,
        )
        for variant, cpu_s, memory_mb, accuracy in zip(
            plan.stages["detect"].variants,
            (0.030, 0.012, 0.004),
            (60.0, 40.0, 30.0),
            (0.9, 0.8, 0.6),
            strict=False,
        )
    )
    others = {"belt": 0.002, "small": 0.001, "faulty": 0.0005, "parts": 0.0002, "all": 0.0001}
    stages = [
        StageCosts(id_, plan.stages[id_].plugin.name, (rung(cpu_s),))
        for id_, cpu_s in others.items()
    ]
    stages.insert(2, StageCosts("detect", "detector", detect))
    return Costs(VERSION, plan.name, "2026-01-01T00:00:00Z", this_device(), tuple(stages))


def test_a_rung_counts_what_its_gate_spares_and_the_rest_is_the_pipelines_own(belt: Plan) -> None:
    tenant = tenant_of(belt, _costs(belt))
    [ladder] = tenant.ladders
    assert (ladder.key, ladder.rate_hz, ladder.deadline_s) == (("belt", "detect"), 10.0, 0.25)
    assert ladder.divisors == (1, 2, 4)
    beside_s = 0.001 + 0.0005 + 0.0002  # resize before it, keep and output behind it
    assert [rung.cpu_s for rung in ladder.rungs] == pytest.approx(
        [0.030 + beside_s, 0.012 + beside_s, 0.004 + beside_s]
    )
    assert [rung.accuracy for rung in ladder.rungs] == [0.9, 0.8, 0.6]
    assert ladder.rungs[0].wall_s == pytest.approx(0.045)
    assert ladder.rungs[0].memory_mb == 60
    assert ladder.rungs[0].call_cpu_s == 0.030  # what is measured at work
    assert tenant.base_cores == pytest.approx((0.002 + 0.0001) * 10)  # the camera, and its output


def test_a_rate_that_was_measured_goes_before_what_the_options_say(belt: Plan) -> None:
    tenant = tenant_of(belt, _costs(belt), rates={"belt": 5.0})
    assert tenant.ladders[0].rate_hz == 5.0
    assert tenant.base_cores == pytest.approx(0.0021 * 5)


def test_without_costs_they_are_assumed_from_the_place_on_the_ladder(belt: Plan) -> None:
    [ladder] = tenant_of(belt, None).ladders
    assert [rung.cpu_s for rung in ladder.rungs] == pytest.approx(
        [ASSUMED_CPU_S * ASSUMED_STEP**rung for rung in range(3)]
    )
    assert [rung.accuracy for rung in ladder.rungs] == pytest.approx(
        [ASSUMED_ACCURACY**rung for rung in range(3)]
    )
    assert ladder.deadline_s is None  # what is assumed is no ground to call an answer late
    [seen] = tenant_of(belt, None, seen={"detect": (1, 0.010)}).ladders
    assert [rung.cpu_s for rung in seen.rungs] == pytest.approx([0.020, 0.010, 0.005])


def test_costs_that_were_kept_are_used(belt: Plan, tmp_path: Path) -> None:
    write_costs(costs_file(tmp_path, "belt"), _costs(belt))
    here = hosted(belt, tmp_path)
    assert here.measured
    assert here.problem == ""
    assert here.tenant == tenant_of(belt, _costs(belt))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _file: None, "'edgeapp bench' writes it"),
        (lambda file: file.write_text("{"), "is no costs file"),
        (
            lambda file: file.write_text(file.read_text().replace('"cores": ', '"cores": 1')),
            "anoth",
        ),
    ],
)
def test_costs_that_cannot_be_used_are_told_and_assumed(
    belt: Plan, tmp_path: Path, spoil: object, said: str
) -> None:
    file = costs_file(tmp_path / "x", "belt")
    if said != "'edgeapp bench' writes it":
        write_costs(file, _costs(belt))
    spoil(file)  # type: ignore[operator]
    here = hosted(belt, tmp_path / "x")
    assert not here.measured
    assert said in here.problem
    assert here.tenant == tenant_of(belt, None)


def test_a_measurement_in_which_nothing_reached_a_model_is_none(belt: Plan, tmp_path: Path) -> None:
    write_costs(costs_file(tmp_path, "belt"), _costs(belt, answered=0))
    here = hosted(belt, tmp_path)
    assert not here.measured
    assert "no packet reached 'detect'" in here.problem


def test_what_a_pipeline_file_says_of_worth_and_accuracy(tmp_path: Path, repo: Path) -> None:
    models = repo / "pipelines" / "models"
    listed = f"{{file: {models / MODELS[0]}, accuracy: 0.7}}, {models / MODELS[1]}"
    plan = _plan(tmp_path, repo, "weight: 2.5\ncritical: true\n", listed)
    tenant = tenant_of(plan, _costs(plan))
    assert (tenant.weight, tenant.critical) == (2.5, True)
    assert [rung.accuracy for rung in tenant.ladders[0].rungs] == [0.7, 0.8]
    assert without_accuracy(plan, _costs(plan)) == ()
    assert without_accuracy(plan, None) == ("detect/conveyor_160",)
    assert [rung.accuracy for rung in tenant_of(plan, None).ladders[0].rungs] == [1.0, 0.9]
