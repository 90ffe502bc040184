"""NDVI against values worked out by hand, and its laws."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from edgeapp.api import Bands, Mask, View
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.ndvi import Ndvi

LABELS = ("soil", "weak", "moderate", "healthy", "dark", "glare")


def bands(red: Any, nir: Any, dtype: Any = np.uint8, view: View | None = None) -> Bands:
    planes = np.array([red, nir], dtype)
    return Bands(planes, ("red", "nir"), view or View())


def masked(value: Bands, **options: Any) -> Mask:
    ran = run_stage(Ndvi, options, packets([value]))
    assert not ran.dropped, ran.log.events
    [mask] = ran.values
    assert isinstance(mask, Mask)
    return mask


def shown(value: Bands, **options: Any) -> list[list[str]]:
    mask = masked(value, **options)
    return [[mask.labels[index] for index in row] for row in mask.classes]


def test_each_pixel_is_what_its_index_says() -> None:
    """0, 1/5, 3/7, 3/5, and -3/5: a class begins at its lowest index."""
    red = [[50, 40, 40, 40, 80]]
    nir = [[50, 60, 100, 160, 20]]
    assert shown(bands(red, nir)) == [["soil", "weak", "moderate", "healthy", "soil"]]


def test_the_borders_are_exact() -> None:
    """NDVI 0.6 is NIR four times red; one count less is not."""
    assert shown(bands([[50, 50]], [[200, 199]])) == [["healthy", "moderate"]]
    assert shown(bands([[50, 50]], [[200, 199]], np.uint16), dark_below=0) == [
        ["healthy", "moderate"]
    ]


def test_classes_are_as_named_and_keep_their_order_and_the_view() -> None:
    view = View(0.25, 0.0, 0.5, 1.0)
    value = bands([[100, 20]], [[100, 200]], view=view)
    mask = masked(value, classes={"water": -1, "bare": -0.1, "green": 0.5})
    assert mask.labels == ("water", "bare", "green", "dark", "glare")
    assert mask.classes.tolist() == [[1, 2]]
    assert mask.view == view
    assert mask.areas() == {"water": 0.0, "bare": 0.5, "green": 0.5, "dark": 0.0, "glare": 0.0}


def test_too_little_and_too_much_light_say_nothing() -> None:
    """Dark below 2 % on average: 5.1 counts of 255 each; glare in either band."""
    red = [[0, 5, 5, 255, 30, 254]]
    nir = [[0, 5, 6, 30, 255, 254]]
    assert shown(bands(red, nir)) == [["dark", "dark", "soil", "glare", "glare", "soil"]]
    assert shown(bands([[0, 1]], [[0, 0]]), dark_below=0) == [["dark", "soil"]]


def test_a_camera_of_12_bits_says_so() -> None:
    red, nir = [[1000, 4095, 30]], [[3000, 3000, 30]]
    assert shown(bands(red, nir, np.uint16), full_scale=4095) == [["moderate", "glare", "dark"]]


def test_gains_make_two_cameras_comparable() -> None:
    """Twice the exposure of red halves the index; its gain puts that right."""
    assert shown(bands([[80]], [[80]])) == [["soil"]]
    assert shown(bands([[80]], [[80]]), red_gain=0.5) == [["weak"]]
    assert shown(bands([[80]], [[80]]), nir_gain=2) == [["weak"]]


def test_bands_are_found_by_name() -> None:
    planes = np.array([[[9]], [[160]], [[40]]], np.uint8)
    assert shown(Bands(planes, ("blue", "nir", "red"))) == [["healthy"]]
    ran = run_stage(Ndvi, {}, packets([Bands(planes, ("blue", "green", "red"))]))
    assert (ran.values, ran.dropped) == ([], {"no_band": 1})


PLANES = arrays(np.uint8, (2, 3, 4))


@settings(max_examples=40)
@example(np.array([[[100]], [[150]]], np.uint8))  # an index of 0.2 exactly: the edge of a class
@given(PLANES)
def test_areas_sum_to_one_and_8_bits_are_as_16(planes: Any) -> None:
    eight = masked(Bands(planes, ("red", "nir")))
    assert sum(eight.areas().values()) == pytest.approx(1)
    sixteen = masked(Bands(planes.astype(np.uint16), ("red", "nir")), full_scale=255)
    assert eight.classes.tolist() == sixteen.classes.tolist()


@settings(max_examples=40)
@given(arrays(np.uint16, (2, 3, 4), elements=st.integers(1, 6000)), st.integers(2, 10))
def test_the_index_does_not_depend_on_how_bright_it_is(planes: Any, times: int) -> None:
    dim, bright = (Bands(p.astype(np.uint16), ("red", "nir")) for p in (planes, planes * times))
    assert (
        masked(dim, dark_below=0).classes.tolist() == masked(bright, dark_below=0).classes.tolist()
    )


@settings(max_examples=40)
@given(PLANES)
def test_it_is_the_published_index(planes: Any) -> None:
    """(NIR - red) / (NIR + red) in 64 bits, away from the borders of classes."""
    red, nir = planes.astype(float)
    with np.errstate(invalid="ignore"):
        index = (nir - red) / (nir + red)
    classes = masked(Bands(planes, ("red", "nir"))).classes
    clear = (classes < 4) & (np.abs(index[..., None] - [0.2, 0.4, 0.6]).min(axis=-1) > 1e-9)
    expected = np.digitize(index, [0.2, 0.4, 0.6])
    assert (classes == expected)[clear].all()


@pytest.mark.parametrize(
    ("classes", "complaint"),
    [
        ({"soil": -1}, "at least 2"),
        ({"soil": 0, "green": 0.5}, "begins at -1"),
        ({"soil": -1, "weak": 0.5, "green": 0.5}, "higher than the one before"),
        ({"soil": -1, "green": 1.5}, "less than or equal to 1"),
        ({"soil": -1, "dark": 0.5}, "'dark' is a class already"),
    ],
)
def test_classes_that_cannot_be_are_refused(classes: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        masked(bands([[1]], [[1]]), classes=classes)
