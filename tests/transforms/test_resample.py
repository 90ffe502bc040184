"""One capture at another rate, and several views of it."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeapp.api import Packet, Signal, Unavailable, samples_ns
from edgeapp.sources.audio import Audio
from edgeapp.testing import run_source, run_stage
from edgeapp.testing.stage import context
from edgeapp.transforms.resample import Resample, ResampleOptions
from edgeapp.transforms.window import Window

soxr = pytest.importorskip("soxr")
soundfile = pytest.importorskip("soundfile")

SECOND_NS = 1_000_000_000


def wave(hz: float, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    sound: NDArray[np.float64] = 0.5 * np.sin(2 * np.pi * hz * time_s)
    return sound


def capture(
    samples: NDArray[np.float64],
    rate_hz: float,
    sizes: Iterable[int],
    *,
    begin_ns: int = 0,
    epoch: int = 0,
    lost: int = 0,
) -> Iterator[Packet[Signal]]:
    """A mono signal in blocks of these sizes; `lost` before the first one."""
    end = 0
    for seq, size in enumerate(sizes):
        block = Signal(
            samples[None, end : end + size].astype(np.float32), rate_hz, ("mono",), ("1",)
        )
        end += size
        t_ns = begin_ns + samples_ns(end, rate_hz)
        yield Packet(block, "mic", epoch, seq, 0, t_ns, 0, samples_ns(size, rate_hz), lost, ())
        lost = 0


def blocks_of(size: int, total: int) -> list[int]:
    return [size] * (total // size) + ([total % size] if total % size else [])


def joined(packets: Sequence[Packet[Any]]) -> NDArray[np.float32]:
    return np.concatenate([packet.value.samples[0] for packet in packets])


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=20),
    rates=st.sampled_from([(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (16_000, 22_050)]),
)
def test_blocks_of_any_size_give_the_same_as_the_whole_at_once(
    sizes: list[int], rates: tuple[int, int]
) -> None:
    """No sample is lost or doubled between blocks, and flush gives the rest."""
    rate_hz, wanted_hz = rates
    noise = np.random.default_rng(0).uniform(-1, 1, sum(sizes))
    ran = run_stage(Resample, {"rate_hz": wanted_hz}, capture(noise, rate_hz, sizes))
    whole = soxr.resample(noise.astype(np.float32), rate_hz, wanted_hz, quality="HQ")
    if len(whole) == 0:
        assert not ran.packets
        return
    np.testing.assert_allclose(joined(ran.packets), whole, rtol=0, atol=1e-5)
    assert ran.packets[-1].t_ns == pytest.approx(
        samples_ns(sum(sizes), rate_hz), abs=SECOND_NS / wanted_hz
    )


@pytest.mark.parametrize(("rate_hz", "wanted_hz"), [(44_100, 16_000), (8_000, 48_000)])
def test_each_sample_has_the_time_at_which_it_was_captured(rate_hz: int, wanted_hz: int) -> None:
    """A sine is its own clock: its phase tells when. The filter's delay is not in the times."""
    total = 2 * rate_hz
    sound = wave(440, np.arange(total) / rate_hz)
    ran = run_stage(
        Resample, {"rate_hz": wanted_hz}, capture(sound, rate_hz, blocks_of(1411, total))
    )
    for packet in ran.packets[1:-1]:
        count = packet.value.samples.shape[1]
        assert packet.span_ns == samples_ns(count, wanted_hz)
        time_s = (packet.t_ns - packet.span_ns) / 1e9 + np.arange(count) / wanted_hz
        if time_s[0] > 0.1:  # what is not there before the begin rings a little
            np.testing.assert_allclose(
                packet.value.samples[0], wave(440, time_s), rtol=0, atol=2e-4
            )


def test_it_starts_afresh_after_a_gap_and_says_so_to_who_comes_next() -> None:
    """A second of sound is missing; what comes after it is in its own place."""
    time_s = np.arange(48_000) / 48_000
    before = list(capture(wave(440, time_s), 48_000, [4800] * 10))
    after = list(
        capture(wave(440, time_s + 2), 48_000, [4800] * 10, begin_ns=2 * SECOND_NS, lost=10)
    )
    ran = run_stage(Resample, {"rate_hz": 16_000}, before + after)
    second = [packet for packet in ran.packets if packet.t_ns > 2 * SECOND_NS]
    assert [packet.lost for packet in second[:2]] == [10, 0]
    assert sum(packet.lost for packet in ran.packets) == 10
    assert second[0].t_ns - second[0].span_ns == 2 * SECOND_NS
    whole = soxr.resample(wave(440, time_s + 2).astype(np.float32), 48_000, 16_000)
    np.testing.assert_allclose(joined(second), whole, rtol=0, atol=1e-5)


def test_it_starts_afresh_when_the_source_was_reopened() -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, 48_000)
    first = capture(noise, 48_000, [4800] * 10)
    second = capture(noise, 48_000, [4800] * 10, begin_ns=SECOND_NS, epoch=1)
    ran = run_stage(Resample, {"rate_hz": 16_000}, [*first, *second])
    again = [packet for packet in ran.packets if packet.epoch == 1]
    whole = soxr.resample(noise.astype(np.float32), 48_000, 16_000)
    np.testing.assert_allclose(joined(again), whole, rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-3_000_000, 3_000_000), min_size=50, max_size=50))
def test_time_never_goes_back_where_a_microphones_times_waver(waver_ns: list[int]) -> None:
    """Blocks of 2 ms, each up to 3 ms off: more than any clock should be."""
    stretch = capture(np.zeros(50 * 88), 44_100, [88] * 50)
    newest_ns = 0
    wavering = []
    for packet, off_ns in zip(stretch, waver_ns, strict=True):
        newest_ns = max(newest_ns, packet.t_ns + off_ns)
        wavering.append(packet._replace(t_ns=newest_ns))
    ran = run_stage(Resample, {"rate_hz": 16_000}, wavering)
    times_ns = [packet.t_ns for packet in ran.packets]
    assert times_ns == sorted(times_ns)


def test_what_the_new_rate_cannot_hold_is_filtered_out() -> None:
    sound = wave(10_000, np.arange(48_000) / 48_000)
    ran = run_stage(Resample, {"rate_hz": 16_000}, capture(sound, 48_000, [4800] * 10))
    assert np.abs(joined(ran.packets)[1000:-1000]).max() < 1e-5


def test_a_signal_that_has_the_rate_already_passes_as_it_is() -> None:
    packets = list(capture(np.zeros(1600), 16_000, [800, 800]))
    ran = run_stage(Resample, {"rate_hz": 16_000}, packets)
    assert [ours.value for ours in ran.packets] == [theirs.value for theirs in packets]
    assert ran.packets[0].value is packets[0].value


def test_without_the_library_the_check_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeapp.transforms.resample.find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r"pip install 'edgeapp\[audio\]'"):
        ResampleOptions(rate_hz=16_000)


def test_views_of_one_capture_hold_every_sample_once_in_its_own_time(tmp_path: Path) -> None:
    """Of one recording at 44.1 kHz: chunks for speech and long overlapping windows at 16 kHz.

    And chunks at its own rate. Every view's samples follow each other without a gap, and a sine
    tells that each window lies where its time says.
    """
    rate_hz, wanted_hz = 44_100, 16_000
    sound = wave(200, np.arange(5 * rate_hz) / rate_hz)
    soundfile.write(tmp_path / "five.flac", sound, rate_hz, subtype="PCM_24")
    captured = run_source(
        Audio, {"device": str(tmp_path / "five.flac"), "speed": "fast"}, folder=tmp_path
    ).packets
    resampled = run_stage(Resample, {"rate_hz": wanted_hz}, captured).packets
    speech = run_stage(Window, {"length_samples": 512}, resampled).packets
    events = run_stage(Window, {"length_samples": 15_600, "hop_samples": 7_800}, resampled).packets
    machine = run_stage(Window, {"length_s": 1.0, "hop_s": 0.5}, captured).packets

    np.testing.assert_array_equal(joined(speech), joined(resampled)[: 512 * len(speech)])
    assert (len(speech), len(events), len(machine)) == (5 * 16_000 // 512, 9, 9)
    for view, hop, rate in (
        (speech, 512, wanted_hz),
        (events, 7_800, wanted_hz),
        (machine, 22_050, rate_hz),
    ):
        for number, packet in enumerate(view):
            length = packet.value.samples.shape[1]
            assert packet.value.rate_hz == rate
            assert packet.span_ns == samples_ns(length, rate)
            assert packet.t_ns == pytest.approx(samples_ns(number * hop + length, rate), abs=2)
            begin_s = (packet.t_ns - packet.span_ns) / 1e9
            expected = wave(200, begin_s + np.arange(length) / rate)
            middle = slice(200, -200) if number in {0, len(view) - 1} else slice(None)
            np.testing.assert_allclose(
                packet.value.samples[0][middle], expected[middle], rtol=0, atol=1e-3
            )


def test_a_library_that_cannot_be_loaded_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = Signal(np.zeros((1, 100), np.float32), 16_000.0, ("mono",), ("1",))
    stage = Resample(ResampleOptions(rate_hz=8_000), context("resample"))
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(Unavailable, match="soxr cannot be used"):
        stage.process(Packet(signal, "mic", 0, 0, 0, 0, 0, 0, 0, ()))
