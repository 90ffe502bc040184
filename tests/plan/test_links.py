from collections.abc import Callable

import pytest

from edgeapp.core.link import LinkSettings
from edgeapp.plan.graph import Plan

Stages = Callable[..., Plan]
Mistakes = Callable[..., list[str]]

CAM = "cam: {source: cam}"


def test_a_live_camera_keeps_the_freshest_picture(stages: Stages) -> None:
    assert stages(CAM).stages["cam"].link == LinkSettings(1, "drop_oldest")


def test_live_samples_wait(stages: Stages) -> None:
    assert stages("s: {source: sensor}").stages["s"].link == LinkSettings(64, "wait")


def test_a_file_runs_its_stages_itself(stages: Stages) -> None:
    plan = stages("r: {source: replay}", "small: {transform: shrink}")

    assert [(s.cut, s.link) for s in plan.stages.values()] == [("none", None), ("none", None)]


def test_an_action_is_cut_off_by_a_queue_that_never_holds_up_the_lane(stages: Stages) -> None:
    act = stages(CAM, "act: {action: act}").stages["act"]

    assert (act.cut, act.link) == ("hands", LinkSettings(16, "drop_newest"))


@pytest.mark.parametrize("stage", ["x: {transform: shrink, lane: own}", "x: {transform: slow}"])
def test_a_lane_of_its_own_and_an_async_stage_are_cut_off_by_a_queue(
    stages: Stages, stage: str
) -> None:
    own = stages(CAM, stage).stages["x"]

    assert (own.cut, own.link) == ("lane", LinkSettings(16, "wait"))


def test_an_action_on_a_thread_of_its_own_holds_up_nobody_either(stages: Stages) -> None:
    act = stages(CAM, "act: {action: act, lane: own}").stages["act"]

    assert (act.cut, act.link) == ("lane", LinkSettings(16, "drop_newest"))


def test_queues_can_be_set_where_there_are_some(stages: Stages) -> None:
    plan = stages(
        "cam: {source: cam, depth: 3}",
        "x: {transform: shrink, lane: own, when_full: drop_oldest}",
        "act: {action: act, depth: 2, when_full: wait}",
    )

    assert [s.link for s in plan.stages.values()] == [
        LinkSettings(3, "drop_oldest"),
        LinkSettings(16, "drop_oldest"),
        LinkSettings(2, "wait"),
    ]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (
            [CAM, "x: {transform: shrink, when_full: wait}"],
            (
                "2: 'when_full' has no effect: there is no queue before 'x', it is called directly"
                " = remove it, or add 'lane: own'"
            ),
        ),
        (
            ["r: {source: replay, depth: 3}"],
            (
                "1: 'depth' has no effect: there is no queue after 'r', it has no device to keep up with"
                " = remove it"
            ),
        ),
        (
            ["cam: {source: cam, lane: own}"],
            "1: 'cam' is a source: 'lane' is for the stages after it = remove it",
        ),
    ],
)
def test_settings_for_a_queue_that_is_not_there(
    mistakes: Mistakes, lines: list[str], wrong: str
) -> None:
    assert mistakes(*lines) == [wrong]


def gate_of(plan: Plan) -> dict[str, str]:
    return {s.id: s.gate_for for s in plan.stages.values() if s.gate_for}


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model stage whose file is never opened."""
    file = tmp_path_factory.mktemp("models") / "m.onnx"
    file.touch()
    return f"net: {{model: guess, variants: ['{file}']}}"


def test_packets_are_shed_before_the_stateless_stages_above_a_model(
    stages: Stages, model: str
) -> None:
    plan = stages(CAM, "a: {transform: shrink}", "b: {transform: pass}", model)

    assert gate_of(plan) == {"a": "net"}


def test_a_stage_with_memory_sees_every_packet(stages: Stages, model: str) -> None:
    plan = stages(
        CAM, "a: {transform: shrink}", "b: {transform: follow}", "c: {transform: shrink}", model
    )

    assert gate_of(plan) == {"c": "net"}


def test_a_stage_that_others_read_too_sees_every_packet(stages: Stages, model: str) -> None:
    plan = stages(CAM, "a: {transform: shrink}", model, "act: {action: act, from: a}")

    assert gate_of(plan) == {"net": "net"}


def test_right_after_a_source_the_model_sheds_itself(stages: Stages, model: str) -> None:
    assert gate_of(stages(CAM, model)) == {"net": "net"}
