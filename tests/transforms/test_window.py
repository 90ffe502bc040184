from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import Packet, Signal, samples_ns
from edgeapp.testing import context, run_stage
from edgeapp.transforms.window import Window, WindowOptions

RATE_HZ = 1000.0


def signal(samples: np.ndarray[Any, Any], rate_hz: float = RATE_HZ) -> Signal:
    two = np.stack([samples, -samples]).astype(np.float32)
    return Signal(two, rate_hz, ("x", "y"), ("g", "g"))


def blocks(sizes: Sequence[int], rate_hz: float = RATE_HZ) -> Iterator[Packet[Signal]]:
    """A ramp 0, 1, 2, ... cut into blocks; a packet's time is its block's end."""
    end = 0
    for seq, size in enumerate(sizes):
        end += size
        t_ns = samples_ns(end, rate_hz)
        ramp = signal(np.arange(end - size, end), rate_hz)
        yield Packet(ramp, "s", 0, seq, 0, t_ns, 0, samples_ns(size, rate_hz), 0, ())


def begins(options: dict[str, Any], stream: Sequence[Packet[Signal]]) -> list[int]:
    """The ramp's value at which each window begins."""
    return [int(value.samples[0, 0]) for value in run_stage(Window, options, stream).values]


@given(
    sizes=st.lists(st.integers(1, 40), max_size=30),
    length=st.integers(1, 60),
    hop=st.integers(1, 90),
)
def test_windows_are_the_same_whatever_the_blocks(sizes: list[int], length: int, hop: int) -> None:
    """Window n begins at sample n x hop, is whole, and ends at its own time."""
    window = Window(WindowOptions(length_samples=length, hop_samples=hop), context())
    cut = [at for packet in blocks(sizes) for at in window.process(packet)]
    total = sum(sizes)
    assert len(cut) == (max(0, total - length + hop) // hop if total >= length else 0)
    for n, at in enumerate(cut):
        begin = n * hop
        assert at.value.samples[0].tolist() == list(range(begin, begin + length))
        assert at.value.samples[1].tolist() == [-s for s in range(begin, begin + length)]
        assert at.t_ns == samples_ns(begin + length, RATE_HZ)
        assert at.span_ns == samples_ns(length, RATE_HZ)


def test_seconds_become_samples_to_the_nearest() -> None:
    assert begins({"length_s": 0.0102, "hop_s": 0.0049}, list(blocks([25]))) == [0, 5, 10, 15]


def test_without_a_hop_windows_touch() -> None:
    assert begins({"length_samples": 4}, list(blocks([3, 3, 3, 3]))) == [0, 4, 8]


def test_the_time_of_a_window_is_right_to_the_nanosecond_at_an_odd_rate() -> None:
    rate_hz = 3134.796238
    window = Window(WindowOptions(length_samples=100), context())
    cut = [at for packet in blocks([37] * 200, rate_hz) for at in window.process(packet)]
    for n, at in enumerate(cut, start=1):
        assert abs(at.t_ns - Fraction(n * 100 * 10**9) / Fraction(rate_hz)) <= 1


def test_no_window_spans_a_gap() -> None:
    """Samples before a loss are forgotten; the next window begins right after it."""
    one, two, three = blocks([6, 6, 6])
    assert begins({"length_samples": 4}, [one, two._replace(lost=1), three]) == [0, 6, 10, 14]


def test_no_window_spans_a_reopened_source_or_another_rate() -> None:
    one, two, three = blocks([6, 6, 6])
    reopened = two._replace(epoch=1, seq=0)
    slower = three._replace(value=signal(np.arange(12, 18), 500.0), epoch=1, seq=1)
    assert begins({"length_samples": 4}, [one, reopened, slower]) == [0, 6, 12]


def test_windows_inside_a_block_are_views_of_it() -> None:
    """No sample is copied when the block is long enough: what 10,000 windows a second need."""
    (packet,) = blocks([12_800])
    window = Window(WindowOptions(length_samples=256), context())
    cut = list(window.process(packet))
    assert len(cut) == 50
    assert all(np.shares_memory(at.value.samples, packet.value.samples) for at in cut)


def test_a_long_hop_keeps_nothing_of_what_it_passes_over() -> None:
    window = Window(WindowOptions(length_samples=10, hop_samples=1_000_000), context())
    for packet in blocks([50] * 100):
        list(window.process(packet))
    assert window._held == 0
    assert len(window._blocks) == 1


def test_a_window_shorter_than_a_sample_drops_packets_with_a_reason() -> None:
    ran = run_stage(Window, {"length_s": 0.0001}, blocks([10]))
    assert ran.dropped == {"too_short": 1}


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ValidationError, match="length_samples"):
        run_stage(Window, {"length_samples": 10**9}, [])
    ran = run_stage(Window, {"length_s": 1e9}, blocks([10]))
    assert ran.dropped == {"too_long": 1}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"length_s": 1, "length_samples": 10},
        {"length_s": 1, "hop_s": 1, "hop_samples": 5},
    ],
)
def test_lengths_are_given_once(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="either"):
        run_stage(Window, options, [])
