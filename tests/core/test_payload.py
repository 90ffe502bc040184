import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.payload import Detections, Features, Image, Signal, View


def test_payload_is_read_only_once_made() -> None:
    """Several consumers share one array: none may change it."""
    image = Image(np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1


def test_image_tells_width_before_height() -> None:
    assert Image(np.zeros((4, 6), np.uint8)).size == (6, 4)


@pytest.mark.parametrize("shape", [(4,), (4, 6, 4), (1, 4, 6, 3)])
def test_image_of_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="an image is"):
        Image(np.zeros(shape, np.uint8))


def test_signal_needs_a_name_and_a_unit_for_each_channel() -> None:
    with pytest.raises(ValueError, match="2 channels has 1 names"):
        Signal(np.zeros((2, 8), np.float32), 100.0, ("x",), ("m/s²", "m/s²"))


def test_features_need_a_value_for_each_name() -> None:
    with pytest.raises(ValueError, match="2 features"):
        Features(np.zeros(3), ("a", "b"), ("1", "1"))


def test_detections_of_mixed_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="detections are"):
        Detections(
            np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int32), ("a",)
        )


def test_no_detections_is_an_answer_too() -> None:
    """`if detections` must not mean «if any»."""
    empty = np.zeros(0, np.float32)
    found = Detections(np.zeros((0, 4), np.float32), empty, np.zeros(0, np.int32), ("a",))
    assert len(found) == 0
    assert found


fraction = st.floats(-2, 2)
extent = st.floats(0.01, 4)


@given(fraction, fraction, extent, extent, st.floats(0, 1), st.floats(0, 1))
def test_a_view_within_a_view_shows_the_same_place(
    left: float, top: float, width: float, height: float, x: float, y: float
) -> None:
    """A point of the inner image, seen through both views, is where the composed view says."""
    outer = View(0.1, 0.2, 0.5, 0.25)
    inner = outer.within(left, top, width, height)
    in_outer_x, in_outer_y = left + x * width, top + y * height
    assert inner.left + x * inner.width == pytest.approx(outer.left + in_outer_x * outer.width)
    assert inner.top + y * inner.height == pytest.approx(outer.top + in_outer_y * outer.height)
