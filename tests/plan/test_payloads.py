from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Optional, TypeVar, Union

import pytest

from edgeapp.core.packet import At
from edgeapp.core.payload import Detections, Features, Image, Payload, Score, Signal
from edgeapp.plan.payloads import after, alternatives, given, misfits, name_of, taken

T = TypeVar("T")
Bound = TypeVar("Bound", bound=Signal)
Either = TypeVar("Either", Image, Signal)


class Thermal(Image):
    """A payload of a plugin's own."""


@pytest.mark.parametrize(
    "annotation",
    [
        Image,
        Image | None,
        Optional[Image],  # noqa: UP045 - authors write it
        At[Image],
        Iterable[Image],
        Iterator[At[Image] | None],
        Generator[Image, None, None],
        Sequence[Image | None],
        list[Image],
        tuple[Image, ...],
        tuple[Image, Image],
    ],
)
def test_one_none_or_many_are_read_as_the_payload(annotation: Any) -> None:
    assert given(annotation) is Image


def test_unions_keep_all_their_payloads() -> None:
    assert set(alternatives(given(Iterable[Image] | Union[Score, None]))) == {Image, Score}  # noqa: UP007


@pytest.mark.parametrize("annotation", [int, None, dict[str, Image], "Image", Any])
def test_what_is_no_payload_is_refused(annotation: Any) -> None:
    with pytest.raises(ValueError, match="payload"):
        given(annotation)


def test_a_stage_that_takes_any_object_takes_any_payload() -> None:
    assert taken(Any) is taken(object) is Payload


@pytest.mark.parametrize(
    ("takes", "gives", "incoming", "result"),
    [
        (Image, Score, Image, {Score}),
        (T, T, Image | Signal, {Image, Signal}),
        (T, T | Score, Image, {Image, Score}),
        (T | Image, T, Image, {Image}),
    ],
)
def test_a_type_variable_stands_for_what_came_in(
    takes: Any, gives: Any, incoming: Any, result: set[type]
) -> None:
    assert set(alternatives(after(takes, gives, incoming))) == result


@pytest.mark.parametrize(
    ("incoming", "takes", "wrong"),
    [
        (Image, Image, ()),
        (Thermal, Image, ()),
        (Image, Thermal, (Image,)),
        (Image | Signal, Image, (Signal,)),
        (Image, Image | Signal, ()),
        (Image, Payload, ()),
        (Image, T, ()),
        (Signal, Bound, ()),
        (Image, Bound, (Image,)),
        (Image | Signal, Either, ()),
        (Features, Either, (Features,)),
        (Score | Detections, Either, (Score, Detections)),
    ],
)
def test_every_incoming_type_must_be_one_that_is_taken(
    incoming: Any, takes: Any, wrong: tuple[type, ...]
) -> None:
    assert misfits(incoming, takes) == wrong


def test_types_have_names_for_people() -> None:
    names = [name_of(one) for one in (Image, Image | Score, T, Payload, Bound, Either)]

    assert names == [
        "Image",
        "Image or Score",
        "any payload",
        "any payload",
        "Signal",
        "Image or Signal",
    ]
