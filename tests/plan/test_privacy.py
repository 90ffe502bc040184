from collections.abc import Callable

from edgeapp.plan.graph import Plan

Mistakes = Callable[..., list[str]]
Stages = Callable[..., Plan]

CAM = "cam: {source: cam}"
MASK = "private: {transform: mask, regions: {door: [[0, 0], [1, 0], [1, 1]]}}"
MASK_OF_CAM = MASK.replace("mask,", "mask, from: cam,")


def test_what_is_masked_may_not_be_kept_from_before_the_mask(mistakes: Mistakes) -> None:
    [wrong] = mistakes(CAM, MASK, "keep: {action: save_image, from: cam, folder: a}")
    assert wrong == (
        "3: 'keep' keeps pictures, and reads 'cam' past the mask 'private'"
        " = read 'private' or a stage behind it, or take the mask out"
    )


def test_nor_from_a_branch_beside_it(mistakes: Mistakes) -> None:
    [wrong] = mistakes(
        CAM,
        "small: {transform: shrink}",
        MASK_OF_CAM,
        "keep: {action: save_image, from: [small, private], folder: a}",
    )
    assert "reads 'small' past the mask 'private'" in wrong


def test_behind_the_mask_all_may_be_kept(stages: Stages) -> None:
    assert stages(
        CAM,
        "small: {transform: shrink}",
        MASK,
        "smaller: {transform: shrink}",
        "keep: {action: save_image, from: [private, smaller], folder: a}",
        "cam2: {source: cam}",
        "other: {action: save_image, folder: b}",
    )


def test_a_model_may_look_and_its_answers_be_told(stages: Stages) -> None:
    """The numbers hold no picture."""
    assert stages(
        CAM,
        "n: {transform: count, level: 1}",
        MASK_OF_CAM,
        "note: {action: log, from: n}",
        "tell: {output: tell, from: n}",
    )


def test_what_is_masked_may_not_be_sent_from_before_the_mask(mistakes: Mistakes) -> None:
    [wrong] = mistakes(CAM, MASK, "show: {output: snapshot, from: cam}")
    assert wrong == (
        "3: 'show' sends pictures, and reads 'cam' past the mask 'private'"
        " = read 'private' or a stage behind it, or take the mask out"
    )


def test_a_snapshot_behind_the_mask_is_bulk_unless_its_class_is_given(stages: Stages) -> None:
    plan = stages(
        CAM,
        MASK,
        "show: {output: snapshot, from: private}",
        "alarm: {output: snapshot, from: private, class: critical}",
    )
    assert plan.stages["show"].priority == "bulk"
    assert plan.stages["alarm"].priority == "critical"
