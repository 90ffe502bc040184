from collections.abc import Callable

import pytest

Mistakes = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (
            ["s: {source: sensor}", "x: {transform: shrink}"],
            (
                "2: transform 'shrink' reads Image, but 's' gives Signal"
                " = read another stage than 's' with 'from'"
            ),
        ),
        (
            ["s: {source: sensor}", "x: {output: mqtt}"],
            (
                "2: output 'mqtt' reads Detections, Event, Features, Labels, Mask, Pose or Score, "
                "but 's' gives Signal = put 'transform: features' between, or read another stage with 'from'"
            ),
        ),
        (
            ["s: {source: sensor}", "x: {transform: gate, rise_above: 1}"],
            (
                "2: stage 'x': rise_above reads Score, but 's' gives Signal = put 'transform: features', "
                "then 'transform: anomaly' between, or read another stage with 'from'"
            ),
        ),
        (
            ["s: {source: cam}", "p: {transform: pass}", "x: {output: tell}"],
            (
                "3: output 'tell' reads Detections or Score, but 'p' gives Image"
                " = put 'model: detector' between, or read another stage with 'from'"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_told_with_what_goes_between(
    mistakes: Mistakes, lines: list[str], wrong: str
) -> None:
    assert mistakes(*lines) == [wrong]


def test_after_a_mistake_nothing_is_guessed(mistakes: Mistakes) -> None:
    found = mistakes(
        "s: {source: sensor}", "x: {transform: shrink}", "y: {transform: gate, rise_above: 1}"
    )

    assert len(found) == 1
