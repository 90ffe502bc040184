from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeapp.api import FakeClock
from edgeapp.sources.sounds import LABELS, Mix, Sounds, soundscape
from edgeapp.testing import run_source

RATE_HZ = 16_000


def samples(**options: Any) -> NDArray[np.float32]:
    ran = run_source(Sounds, {"speed": "fast", "duration_s": 8.0, "pause_s": 1.0, **options})
    return np.concatenate([packet.value.samples[0] for packet in ran.packets])


def level(wave: NDArray[np.float32]) -> float:
    """RMS in dB of full scale."""
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64))))


def pitch_hz(wave: NDArray[np.float32]) -> float:
    """The strongest frequency above 200 Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    frequencies = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    spectrum[frequencies < 200] = 0
    return float(frequencies[spectrum.argmax()])


@settings(max_examples=4, deadline=None)
@given(st.floats(0.02, 3.0), st.integers(0, 10))
def test_the_same_seed_gives_the_same_samples_in_blocks_of_any_size(
    block_s: float, seed: int
) -> None:
    np.testing.assert_array_equal(
        samples(block_s=block_s, seed=seed), soundscape(seed, 8.0, RATE_HZ, Mix(pause_s=1.0))[0]
    )


def test_another_seed_gives_another_soundscape() -> None:
    assert soundscape(1, 8.0, RATE_HZ)[1] != soundscape(2, 8.0, RATE_HZ)[1]


def test_every_sound_stands_out_of_the_background_where_the_truth_says_and_nowhere_else() -> None:
    wave, heard = soundscape(3, 40.0, RATE_HZ, Mix(pause_s=2.0))
    assert {sound.label for sound in heard} == set(LABELS)
    quiet = np.ones(len(wave), bool)
    for sound in heard:
        first, last = round(sound.start_s * RATE_HZ), round(sound.end_s * RATE_HZ)
        assert level(wave[first:last]) > -38, sound
        quiet[first:last] = False
    assert level(wave[quiet]) == pytest.approx(-45, abs=0.5)
    assert np.abs(wave[quiet]).max() < 10 ** (-25 / 20)


def test_sounds_never_overlap_and_come_about_as_often_as_asked() -> None:
    _, heard = soundscape(4, 60.0, 8_000, Mix(pause_s=0.5))
    silences = [after.start_s - before.end_s for before, after in pairwise(heard)]
    assert min(silences) >= 0.25 - 1e-3
    assert np.mean(silences) == pytest.approx(0.5, rel=0.15)


def test_a_smoke_alarm_beeps_three_times_at_about_3100_hz() -> None:
    """ISO 8201: half a second on, half a second off, three times."""
    wave, (alarm, *_) = soundscape(5, 20.0, RATE_HZ, Mix(labels=("smoke_alarm",)))
    assert alarm.end_s - alarm.start_s == pytest.approx(2.5)
    half = RATE_HZ // 2
    begin = round(alarm.start_s * RATE_HZ)
    pieces = [wave[begin + n * half : begin + (n + 1) * half] for n in range(5)]
    assert [level(piece) > -30 for piece in pieces] == [True, False, True, False, True]
    assert pitch_hz(pieces[2]) == pytest.approx(3100, rel=0.04)


def test_a_siren_sweeps() -> None:
    wave, (siren, *_) = soundscape(6, 20.0, RATE_HZ, Mix(labels=("siren",)))
    heard = wave[round(siren.start_s * RATE_HZ) : round(siren.end_s * RATE_HZ)]
    pitches = [pitch_hz(heard[n : n + 1600]) for n in range(0, len(heard) - 1600, 1600)]
    assert min(pitches) < 800
    assert 1100 < max(pitches) < 1600


def test_the_last_sound_is_cut_where_the_samples_end() -> None:
    _, heard = soundscape(7, 25.0, RATE_HZ, Mix(labels=("siren",)))
    middle = (heard[1].start_s + heard[1].end_s) / 2
    _, cut = soundscape(7, middle, RATE_HZ, Mix(labels=("siren",)))
    assert [sound.start_s for sound in cut] == [sound.start_s for sound in heard[:2]]
    assert cut[-1].end_s == pytest.approx(middle, abs=1e-3)


def test_time_is_counted_in_samples_and_real_time_keeps_it() -> None:
    clock = FakeClock()
    ran = run_source(Sounds, {"duration_s": 2.0, "block_s": 0.3}, clock=clock)
    assert [packet.t_ns for packet in ran.packets][-2:] == [1_800_000_000, 2_000_000_000]
    assert sum(packet.span_ns for packet in ran.packets) == 2_000_000_000
    assert clock.now_ns() == pytest.approx(1.7e9, rel=0.01)
