from collections.abc import Callable

import pytest

from edgeapp.plan.graph import Plan

Stages = Callable[..., Plan]
Mistakes = Callable[..., list[str]]

CAM = "cam: {source: cam}"


def test_each_stage_reads_the_one_above_it(stages: Stages) -> None:
    plan = stages(CAM, "small: {transform: shrink}", "act: {action: act}")

    assert [(s.id, s.upstream, s.consumers) for s in plan.stages.values()] == [
        ("cam", None, ("small",)),
        ("small", "cam", ("act",)),
        ("act", "small", ()),
    ]


def test_from_names_another_and_branches_keep_the_order_of_the_file(stages: Stages) -> None:
    plan = stages(
        CAM,
        "b: {transform: shrink}",
        "a: {transform: shrink, from: cam}",
        "x: {action: act, from: cam}",
    )

    assert plan.stages["cam"].consumers == ("b", "a", "x")


def test_a_stage_may_stand_above_the_one_it_reads_and_comes_after_it_in_the_plan(
    stages: Stages,
) -> None:
    plan = stages("act: {action: act, from: small}", CAM, "small: {transform: shrink}")

    assert list(plan.stages) == ["cam", "small", "act"]


def test_an_empty_from_is_as_good_as_none(stages: Stages) -> None:
    assert stages(CAM, "act: {action: act, from: }").stages["act"].upstream == "cam"


def test_a_from_that_is_no_text_is_one_mistake(mistakes: Mistakes) -> None:
    assert len(mistakes(CAM, "act: {action: act, from: {cam: 1}}")) == 1


def test_an_action_reads_several_stages_that_come_before_it(stages: Stages) -> None:
    plan = stages("act: {action: act, from: [small, cam]}", CAM, "small: {transform: shrink}")

    assert plan.stages["act"].reads == ("small", "cam")
    assert [stage.consumers for stage in plan.stages.values()] == [("small", "act"), ("act",), ()]


def test_an_output_that_reads_two_lanes_gets_one_of_its_own(stages: Stages) -> None:
    counts = (
        "n: {transform: count, level: 1, from: cam}",
        "m: {transform: count, level: 1, from: cam}",
    )
    one_lane = stages(CAM, *counts, "out: {output: tell, from: [n, m]}")
    other = "cam2: {source: cam}", "k: {transform: count, level: 1}"
    two = stages(CAM, *counts, *other, "out: {output: tell, from: [n, k]}")

    assert one_lane.stages["out"].cut == "none"
    assert two.stages["out"].cut == "lane"
    assert two.stages["out"].link is not None


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("b: {transform: shrink, from: [cam, a]}", "only actions and outputs read several stages"),
        ("b: {action: act, from: [a, a]}", "'b' reads 'a' twice"),
        ("b: {action: act, from: [a, nowhere]}", "there is no stage 'nowhere' to read from"),
        ("b: {action: act, from: []}", "'from' names no stage"),
    ],
)
def test_a_list_of_stages_to_read_has_its_rules(mistakes: Mistakes, line: str, wrong: str) -> None:
    [mistake] = mistakes(CAM, "a: {transform: shrink}", line)
    assert wrong in mistake


def test_a_pipeline_may_have_several_sources(stages: Stages) -> None:
    plan = stages(CAM, "one: {action: act}", "cam2: {source: cam}", "two: {action: act}")

    assert [s.id for s in plan.sources] == ["cam", "cam2"]
    assert plan.stages["two"].upstream == "cam2"


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (
            [CAM, "small: {transform: shrink, from: can}"],
            ["2: there is no stage 'can' to read from = did you mean 'cam'? Stages: cam"],
        ),
        (
            [CAM, "small: {transform: shrink, from: small}"],
            ["2: stage 'small' reads itself = say 'from: cam'"],
        ),
        (
            [
                CAM,
                "a: {transform: shrink, from: c}",
                "b: {transform: shrink}",
                "c: {transform: shrink}",
            ],
            [
                (
                    "2: these stages read each other in a circle: a → b → c → a"
                    " = let one of them read a stage outside the circle"
                )
            ],
        ),
        (
            [CAM, "act: {action: act}", "small: {transform: shrink}"],
            [
                (
                    "3: 'small' reads the stage above it, but 'act' is an action: it gives nothing to"
                    " read = say 'from: cam'"
                )
            ],
        ),
        (
            [CAM, "act: {action: act}", "small: {transform: shrink, from: act}"],
            ["3: 'act' is an action: it gives nothing to read = say 'from: cam'"],
        ),
        (
            [CAM, "cam2: {source: cam, from: cam}"],
            ["2: 'cam2' is a source and reads no other stage = remove 'from'"],
        ),
        (
            ["small: {transform: shrink}", CAM],
            [
                (
                    "1: 'small' stands first, so there is no stage above it to read"
                    " = put a source first, or say 'from: ...'"
                )
            ],
        ),
        (
            ["small: {transform: shrink}"],
            [
                (
                    "1: the pipeline has no source, so nothing would ever happen"
                    " = begin with 'source: camera', or another"
                )
            ],
        ),
    ],
)
def test_wrong_wiring(mistakes: Mistakes, lines: list[str], wrong: list[str]) -> None:
    assert mistakes(*lines) == wrong


def test_two_circles_are_two_mistakes(mistakes: Mistakes) -> None:
    found = mistakes(
        CAM,
        "a: {transform: shrink, from: b}",
        "b: {transform: shrink}",
        "c: {transform: shrink, from: d}",
        "d: {transform: shrink}",
        "tail: {transform: shrink}",
    )

    assert [one.partition(" = ")[0] for one in found] == [
        "2: these stages read each other in a circle: a → b → a",
        "4: these stages read each other in a circle: c → d → c",
    ]


def test_a_stage_that_cannot_be_read_brings_no_further_mistakes(mistakes: Mistakes) -> None:
    found = mistakes("cam: {}", "small: {transform: shrink}", "act: {action: act}")

    assert len(found) == 1
    assert "does not say what it is" in found[0]
