"""Sensors of the IIO subsystem, in a tree of their own."""

import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import FakeClock
from edgeapp.sources._iio_format import Element, Layout
from edgeapp.sources._iio_gaps import LOOK, Gaps
from edgeapp.sources.vibration import Vibration
from edgeapp.sources.vibration_options import VibrationOptions
from edgeapp.testing import Ran, run_source
from tests.sources.iio_tree import XYZ, IioTree, xyz

MS = 1_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[IioTree]:
    with IioTree(tmp_path) as made:
        yield made


def sensed(tree: IioTree, limit: int, **options: Any) -> Ran:
    return run_source(
        Vibration,
        {"device": "iio:adxl345", "block_s": 0.1, "root": tree.root, **options},
        limit=limit,
    )


class HurryingClock(FakeClock):
    """A second passes whenever somebody looks."""

    def now_ns(self) -> int:
        self.advance(1.0)
        return super().now_ns()


# Layout


def test_elements_are_aligned_to_their_size_and_ordered_by_index() -> None:
    layout = Layout.of(
        [
            Element.parse("timestamp", 3, "le:s64/64>>0"),
            Element.parse("b", 1, "be:u24/32>>8"),
            Element.parse("a", 0, "le:s12/16>>4"),
        ]
    )
    frame = struct.pack("<h2x", -2 << 4 | 0xF) + struct.pack(">I", 0xABCDEF << 8 | 0x55)
    frames = np.frombuffer(frame + struct.pack("<q", -7), layout.frames)
    assert layout.frames.itemsize == 16
    assert [layout.numbers(name, frames).tolist() for name in ("a", "b", "timestamp")] == [
        [-2],
        [0xABCDEF],
        [-7],
    ]


@settings(max_examples=50)
@given(
    st.sampled_from(["le", "be"]),
    st.booleans(),
    st.sampled_from([8, 16, 32, 64]),
    st.data(),
)
def test_a_number_is_found_whatever_its_width_and_shift(
    endian: str, signed: bool, storage: int, data: st.DataObject
) -> None:
    bits = data.draw(st.integers(1, storage))
    shift = data.draw(st.integers(0, storage - bits))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    number = data.draw(st.integers(low, high))
    noise = data.draw(st.integers(0, (1 << shift) - 1))  # what stands below it is no concern
    word = ((number << shift) | noise) & ((1 << storage) - 1)
    stored = word.to_bytes(storage // 8, "little" if endian == "le" else "big")
    text = f"{endian}:{'s' if signed else 'u'}{bits}/{storage}>>{shift}"
    layout = Layout.of([Element.parse("x", 0, text)])
    assert layout.numbers("x", np.frombuffer(stored, layout.frames)).tolist() == [number]


@pytest.mark.parametrize("text", ["", "le:s16", "le:s16/24>>0", "le:s16/16X3>>0", "le:s20/16>>0"])
def test_a_type_that_is_not_read_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="'x'"):
        Element.parse("x", 0, text)


# Gaps


def counted(
    runs: list[tuple[int, int]], off: float, seed: int, latest: float
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The gaps found and those that there are: runs of samples, each behind a gap.

    Every timestamp is up to 0.2 periods late, one in ten up to `latest`, and none before the one
    ahead of it. The last few samples are left to the next look, as the reader does.
    """
    period_ns = 1e9 / (3200 * off)
    numbers = list(range(2000))
    expected = []
    for length, missing in runs:
        first = numbers[-1] + 1 + missing
        expected.append((len(numbers), missing))
        numbers.extend(range(first, first + length))
    numbers.extend(range(numbers[-1] + 1, numbers[-1] + 1 + LOOK))
    late = np.random.default_rng(seed).uniform(0, 0.2, len(numbers))
    late[4::10] *= latest / 0.2
    times_ns = np.rint((np.array(numbers) + late) * period_ns).astype(np.int64)
    found = Gaps(3200).find(np.maximum.accumulate(times_ns))
    return [gap for gap in found if gap[0] < len(numbers) - LOOK], expected


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(LOOK + 1, 40), st.integers(1, 500)), max_size=5),
    st.floats(0.97, 1.03),
    st.integers(0, 2**32),
)
def test_losses_are_counted_exactly_in_spite_of_late_timestamps_and_a_clock_that_is_off(
    runs: list[tuple[int, int]], off: float, seed: int
) -> None:
    """As promised: where no timestamp is late by half a period."""
    found, expected = counted(runs, off, seed, latest=0.45)
    assert [missing for _, missing in found] == [missing for _, missing in expected]
    for (at, _), (true_at, _) in zip(found, expected, strict=True):
        assert true_at - 3 <= at <= true_at


def test_timestamps_that_are_several_periods_late_seldom_cost_the_count() -> None:
    """Up to three periods late, one in ten: 1 of 200 stretches or so is off, and by little."""
    chance = np.random.default_rng(7)
    wrong = []
    for _ in range(200):
        runs = [(int(chance.integers(LOOK + 1, 41)), int(chance.integers(1, 500)))] * 3
        found, expected = counted(
            runs, float(chance.uniform(0.97, 1.03)), int(chance.integers(2**32)), latest=3.0
        )
        wrong.append(abs(sum(m for _, m in found) - sum(m for _, m in expected)))
    assert sum(error > 0 for error in wrong) <= 4
    assert max(wrong) <= 2


# Reading


def test_samples_come_scaled_in_blocks_and_the_buffer_is_off_afterwards(tree: IioTree) -> None:
    tree.buffered(XYZ)
    tree.put("in_accel_scale", 0.5)
    tree.put("in_accel_x_offset", 10)
    tree.put("buffer/enable", 1)  # left on by a program that was killed
    tree.send(*(xyz(n, n * 10 * MS) for n in range(40)))
    ran = sensed(tree, limit=3)
    first = ran.values[0]
    assert (first.channels, first.units, first.rate_hz) == (("x", "y", "z"), ("m/s²",) * 3, 100)
    assert first.samples[:, 1].tolist() == [5.5, -0.5, 0.5]
    assert [value.samples[0, 0] for value in ran.values] == [5.0, 10.0, 15.0]
    times = [packet.t_ns for packet in ran.packets]
    assert np.diff(times).tolist() == [100 * MS, 100 * MS]
    assert tree.get("buffer/enable") == "0"
    assert tree.get("buffer/length") == "200"
    assert tree.get("scan_elements/in_timestamp_en") == "1"


def test_only_the_channels_asked_for_are_enabled(tree: IioTree) -> None:
    tree.buffered(XYZ[:3])
    tree.put("scan_elements/in_accel_x_en", 1)
    tree.send(*(struct.pack("<h", n) for n in range(10)))
    ran = sensed(tree, limit=1, channels={"radial": "y"})
    assert ran.values[0].channels == ("radial",)
    assert ran.values[0].samples.tolist() == [list(range(10))]
    assert tree.get("scan_elements/in_accel_x_en") == "0"
    assert ran.log.said("info") == ["lost samples cannot be seen: the sensor gives no timestamps"]


def test_the_newer_layout_with_numbered_buffers_is_read_too(tree: IioTree) -> None:
    tree.buffered(XYZ, scan="buffer0", buffer="buffer0")
    tree.send(*(xyz(n, n * 10 * MS) for n in range(20)))
    assert sensed(tree, limit=1).values[0].samples.shape == (3, 10)


def test_an_overrun_is_lost_exactly_and_no_block_spans_it(tree: IioTree) -> None:
    """25 samples, 37 of which nothing is known, then more: in stream time the gap is 37 samples."""
    tree.buffered(XYZ)
    numbers = [*range(25), *range(62, 102)]
    tree.send(*(xyz(n, n * 10 * MS) for n in numbers))
    ran = sensed(tree, limit=5)
    assert [value.samples[0, 0] for value in ran.values] == [0, 10, 20, 62, 72]
    assert [value.samples.shape[1] for value in ran.values] == [10, 10, 5, 10, 10]
    assert [packet.lost for packet in ran.packets] == [0, 0, 0, 4, 0]
    before, behind = ran.packets[2], ran.packets[3]
    assert behind.t_ns - behind.span_ns - before.t_ns == 370 * MS
    assert ran.meters.lost == 4
    ((_, _, facts),) = [e for e in ran.log.events if e[1] == "sensor lost samples"]
    assert facts["samples"] == 37


def test_frames_torn_between_reads_are_put_together(tree: IioTree) -> None:
    tree.buffered(XYZ)
    stored = b"".join(xyz(n, n * 10 * MS) for n in range(30))

    def feed() -> None:
        for at in range(0, len(stored), 7):
            tree.send(stored[at : at + 7])

    thread = threading.Thread(target=feed)
    thread.start()
    ran = sensed(tree, limit=2)
    thread.join()
    assert np.concatenate([v.samples[0] for v in ran.values]).tolist() == list(range(20))
    assert ran.meters.lost == 0


def test_the_rate_is_set_and_read_back(tree: IioTree) -> None:
    tree.buffered(XYZ)
    tree.put("sampling_frequency_available", "100 200.5 400")
    tree.send(*(xyz(n, n * 5 * MS) for n in range(40)))
    ran = sensed(tree, limit=1, rate_hz=200.5)
    assert tree.get("sampling_frequency") == "200.5"
    assert ran.values[0].rate_hz == 200.5


def test_a_clock_that_is_off_is_told(tree: IioTree) -> None:
    tree.buffered(XYZ)
    tree.send(*(xyz(n, n * 9 * MS) for n in range(60)))
    ran = sensed(tree, limit=2)
    ((_, _, facts),) = [e for e in ran.log.events if e[1] == "sensor's clock is off"]
    assert facts["timestamps_say_hz"] == pytest.approx(111.11, abs=0.1)
    assert ran.meters.lost == 0


def test_the_sensors_own_trigger_is_used_where_none_is_set(tree: IioTree) -> None:
    tree.buffered(XYZ)
    tree.put("trigger/current_trigger", "")
    trigger = tree.folder.parent / "trigger0"
    trigger.mkdir()
    (trigger / "name").write_text("adxl345-dev0\n")
    tree.send(*(xyz(n, n * 10 * MS) for n in range(20)))
    sensed(tree, limit=1)
    assert tree.get("trigger/current_trigger") == "adxl345-dev0"


# Trouble


def waiting_for(tree: IioTree, clock: FakeClock | None = None, **options: Any) -> str:
    """What the source says is unavailable."""
    ran = run_source(
        Vibration,
        {"device": "iio:adxl345", "root": tree.root, **options},
        epochs=1,
        clock=clock,
    )
    ((_, _, facts), *_) = [e for e in ran.log.events if e[1] == "source unavailable, retrying"]
    assert ran.meters.faults == 0
    return str(facts["problem"])


def test_a_sensor_that_vanishes_is_waited_for_and_its_buffer_switched_off(tree: IioTree) -> None:
    """The node of this tree is a file that ends, as a node does whose device is unplugged."""
    tree.buffered(XYZ)
    tree.close()
    tree.node.unlink()
    tree.node.write_bytes(b"".join(xyz(n, n * 10 * MS) for n in range(100)))
    assert waiting_for(tree) == "iio:adxl345 is gone"
    assert tree.get("buffer/enable") == "0"


def test_a_silent_sensor_is_opened_again(tree: IioTree) -> None:
    tree.buffered(XYZ)
    assert "has sent nothing for 5 s" in waiting_for(tree, HurryingClock())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "iio:adxl999"}, "no IIO device 'adxl999'; there are: adxl345 (device0)"),
        ({"channels": ["x", "w"]}, "there is no column 'w'; there are: x, y, z"),
        ({"device": "iio:device3"}, "no IIO device 'device3'"),
    ],
)
def test_what_is_not_there_is_named(tree: IioTree, options: dict[str, Any], says: str) -> None:
    tree.buffered(XYZ)
    assert says in waiting_for(tree, **options)


@pytest.mark.parametrize("rate", ["nan", "inf", "1e300", "1e-300", "-5", "0", "soon", ""])
def test_a_rate_that_cannot_be_is_told(tree: IioTree, rate: str) -> None:
    tree.buffered(XYZ)
    tree.put("sampling_frequency", rate)
    assert "does not say how fast it samples" in waiting_for(tree)


@pytest.mark.parametrize("scale", ["nan", "-inf", "1e999", "junk", ""])
def test_a_scale_that_is_no_number_is_told(tree: IioTree, scale: str) -> None:
    """Going on with 1 would give numbers in a unit that they are not in."""
    tree.buffered(XYZ)
    tree.put("in_accel_scale", scale)
    assert "in_accel_scale, which is no number" in waiting_for(tree)


def test_a_sensor_with_nothing_but_a_clock_is_told(tree: IioTree) -> None:
    tree.buffered([("timestamp", "le:s64/64>>0")])
    assert "has no channels" in waiting_for(tree)


@pytest.mark.parametrize("listed", ["nan 100", "[1 inf 2]", "[-1 0 -5]", "[0 0 0]"])
def test_rates_that_cannot_be_are_not_offered(tree: IioTree, listed: str) -> None:
    tree.buffered(XYZ)
    tree.put("sampling_frequency_available", listed)
    VibrationOptions.model_validate({"device": "iio:adxl345", "root": tree.root, "rate_hz": 100})


def test_two_sensors_of_a_name_are_told_apart_by_number(tree: IioTree) -> None:
    IioTree(tree.root, number=1)
    assert "use one of device0, device1" in waiting_for(tree)


def test_a_node_that_is_not_there_is_waited_for(tree: IioTree) -> None:
    tree.buffered(XYZ)
    tree.node.unlink()
    assert "cannot open" in waiting_for(tree)


def complaint(tree: IioTree, **options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        VibrationOptions.model_validate({"device": "iio:adxl345", "root": tree.root, **options})
    return str(caught.value.errors()[0]["msg"])


def test_a_rate_that_the_sensor_has_not_is_complained_about_with_those_that_it_has(
    tree: IioTree,
) -> None:
    tree.buffered(XYZ)
    tree.put("sampling_frequency_available", "100 200 400")
    assert "set rate_hz to 100, 200 or 400 Hz" in complaint(tree, rate_hz=300)
    tree.put("sampling_frequency_available", "[1 0.5 400]")
    assert "set rate_hz to 1 to 400 Hz" in complaint(tree, rate_hz=500)
    assert "an ADXL345 samples at 3200 Hz at most" in complaint(tree, rate_hz=4000)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "iio:"}, "write iio:adxl355 or iio:device0"),
        ({"loop": True}, "loop is for recordings"),
        ({"unit": "g"}, "unit is for recordings"),
        ({"baud": 9600}, "baud is for serial lines"),
    ],
)
def test_options_for_others_are_refused(tree: IioTree, options: dict[str, Any], says: str) -> None:
    assert says in complaint(tree, **options)


# Polling


def test_a_sensor_without_a_buffer_is_polled_evenly(tree: IioTree) -> None:
    tree.put("in_accel_x_raw", 100)
    tree.put("in_accel_y_raw", -50)
    tree.put("in_accel_scale", 0.01)
    ran = sensed(tree, limit=2, rate_hz=20, block_s=0.5)
    assert ran.values[0].samples[:, 0].tolist() == [1.0, -0.5]
    assert ran.values[0].samples.shape == (2, 10)
    assert ran.packets[1].t_ns - ran.packets[0].t_ns == 500 * MS
    assert ran.meters.lost == 0


def test_polling_that_is_held_up_makes_nothing_up(tree: IioTree) -> None:
    """Every look at the clock takes a second, which is ten samples."""
    tree.put("in_accel_x_raw", 100)
    ran = run_source(
        Vibration,
        {"device": "iio:adxl345", "root": tree.root, "rate_hz": 10, "block_s": 0.5},
        limit=4,
        clock=HurryingClock(),
    )
    assert all(value.samples.shape[1] == 1 for value in ran.values)
    assert all(packet.lost for packet in ran.packets[1:])


def test_polling_is_for_slow_rates_only(tree: IioTree) -> None:
    tree.put("in_accel_x_raw", 100)
    assert "at 100 Hz at most, not at 200 Hz" in waiting_for(tree, rate_hz=200)
    assert "give rate_hz" in waiting_for(tree)
    tree.put("in_accel_x_raw", "")
    assert "gives no value for accel_x" in waiting_for(tree, rate_hz=10)
