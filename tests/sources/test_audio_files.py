"""Recordings as a microphone: WAV by our own reader, FLAC through libsndfile."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeapp.api import FakeClock, Surroundings
from edgeapp.core.plugin import MARK
from edgeapp.sources._audio_options import AudioOptions
from edgeapp.sources.audio import Audio
from edgeapp.testing import run_source
from edgeapp.testing.stage import Ran

soundfile = pytest.importorskip("soundfile")

RATE_HZ = 8_000
NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, (4_000, 2))
"""Half a second of left and right."""


def write(
    folder: Path, name: str = "half.wav", subtype: str = "PCM_16", sound: NDArray[Any] = NOISE
) -> Path:
    soundfile.write(folder / name, sound, RATE_HZ, subtype=subtype)
    return folder / name


def play(folder: Path, **options: Any) -> Ran:
    return run_source(Audio, {"speed": "fast", **options}, folder=folder, limit=60)


def joined(ran: Ran) -> NDArray[np.float32]:
    return np.concatenate([value.samples for value in ran.values], axis=1)


def refused(folder: Path, **options: Any) -> str:
    """What `check` would say."""
    with pytest.raises(ValidationError) as error:
        AudioOptions.model_validate(options, context=Surroundings(folder, folder))
    return error.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("name", "subtype", "step"),
    [
        ("half.wav", "PCM_16", 2**-15),
        ("half.wav", "PCM_24", 2**-23),
        ("half.wav", "PCM_32", 2**-23),
        ("half.wav", "FLOAT", 1e-7),
        ("half.wav", "DOUBLE", 1e-7),
        ("half.wav", "PCM_U8", 2**-7),
        ("half.flac", "PCM_16", 2**-15),
        ("half.flac", "PCM_24", 2**-23),
        ("half.flac", "PCM_S8", 2**-7),
    ],
)
def test_every_format_gives_the_samples_that_were_written(
    tmp_path: Path, name: str, subtype: str, step: float
) -> None:
    write(tmp_path, name, subtype)
    ran = play(tmp_path, device=name, channels=[1, 2])
    np.testing.assert_allclose(joined(ran), NOISE.T, rtol=0, atol=step)
    first = ran.values[0]
    assert (first.rate_hz, first.channels, first.units) == (8000, ("left", "right"), ("1", "1"))


def test_channels_are_mixed_into_one_by_default(tmp_path: Path) -> None:
    write(tmp_path, subtype="DOUBLE")
    ran = play(tmp_path, device="half.wav")
    assert ran.values[0].channels == ("mono",)
    np.testing.assert_allclose(joined(ran)[0], NOISE.mean(axis=1), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("columns", "channels", "names"),
    [
        (1, [1], ("mono",)),
        (2, [2], ("right",)),
        (2, [2, 1], ("right", "left")),
        (4, [1, 4], ("ch1", "ch4")),
        (4, "mono", ("mono",)),
    ],
)
def test_chosen_channels_keep_their_names(
    tmp_path: Path, columns: int, channels: list[int] | str, names: tuple[str, ...]
) -> None:
    sound = np.tile(np.arange(columns) / 10, (100, 1))
    write(tmp_path, subtype="DOUBLE", sound=sound)
    ran = play(tmp_path, device="half.wav", channels=channels)
    assert ran.values[0].channels == names
    expected = [sound.mean()] if channels == "mono" else [(int(n) - 1) / 10 for n in channels]
    np.testing.assert_allclose(joined(ran)[:, 0], expected, rtol=1e-6)


def test_time_is_counted_in_samples_from_the_start(tmp_path: Path) -> None:
    write(tmp_path)
    ran = play(tmp_path, device="half.wav", block_s=0.15)
    assert [packet.t_ns / 1e6 for packet in ran.packets] == [150, 300, 450, 500]
    assert [packet.span_ns / 1e6 for packet in ran.packets] == [150, 150, 150, 50]


def test_a_loop_goes_on_in_stream_time_without_a_gap(tmp_path: Path) -> None:
    write(tmp_path)
    ran = play(tmp_path, device="half.wav", loop=True, block_s=0.1, channels=[1])
    assert [packet.t_ns for packet in ran.packets] == [(n + 1) * 100_000_000 for n in range(60)]
    assert {packet.epoch for packet in ran.packets} == {0}
    np.testing.assert_array_equal(joined(ran)[0, :4000], joined(ran)[0, 4000:8000])


def test_in_real_time_a_recording_takes_as_long_as_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    clock = FakeClock()
    run_source(Audio, {"device": "half.wav", "block_s": 0.01}, folder=tmp_path, clock=clock)
    assert clock.now_ns() == 490_000_000  # the first block is there at once


def test_only_a_microphone_is_live(tmp_path: Path) -> None:
    live = getattr(Audio, MARK).live
    write(tmp_path)
    assert not live(AudioOptions(device=str(tmp_path / "half.wav")))
    assert live(AudioOptions(device="default"))


def test_what_is_in_a_file_counts_not_what_it_is_called(tmp_path: Path) -> None:
    write(tmp_path, "half.flac").rename(tmp_path / "half.wav")
    assert joined(play(tmp_path, device="half.wav")).shape == (1, 4000)


def test_a_sample_beyond_full_scale_is_cut_and_one_that_is_no_number_is_lost(
    tmp_path: Path,
) -> None:
    loud = np.zeros((4000, 1))
    loud[10], loud[900] = 3.0, np.nan
    write(tmp_path, subtype="FLOAT", sound=loud)
    ran = play(tmp_path, device="half.wav", block_s=0.1)
    assert joined(ran).max() == 1.0
    assert [packet.lost for packet in ran.packets] == [0, 1, 0, 0]
    assert [packet.t_ns for packet in ran.packets][:2] == [100_000_000, 300_000_000]
    assert ran.log.said("warning") == ["samples cannot be used"]


@pytest.mark.parametrize("name", ["half.wav", "half.flac"])
def test_a_recording_that_is_cut_short_is_played_as_far_as_it_goes(
    tmp_path: Path, name: str
) -> None:
    sound = np.tile(NOISE, (10, 1))
    whole = write(tmp_path, name, sound=sound).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    ran = play(tmp_path, device=name, channels=[1], block_s=0.1)
    heard = joined(ran)[0]
    assert 12_000 < len(heard) <= 20_000
    np.testing.assert_allclose(heard, sound[: len(heard), 0], rtol=0, atol=2**-15)
    assert len(ran.log.said("warning")) == 1


def test_what_cannot_be_played_is_refused_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "head.flac").write_bytes(b"fLaC" + bytes(16))
    (tmp_path / "head.wav").write_bytes((tmp_path / "half.wav").read_bytes()[:30])
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1)), RATE_HZ)
    assert "there is no file" in refused(tmp_path, device="gone.wav")
    assert "there is no file" in refused(tmp_path, device="folder/recording")
    assert "is empty" in refused(tmp_path, device="empty.wav")
    assert "is neither a WAV nor a FLAC file" in refused(tmp_path, device="text.wav")
    assert "is a damaged FLAC file" in refused(tmp_path, device="head.flac")
    assert "header ends early" in refused(tmp_path, device="head.wav")
    assert "holds no samples" in refused(tmp_path, device="none.wav")


def test_options_that_do_not_fit_are_refused_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path)
    half = {"device": "half.wav"}
    assert "put a resample stage behind" in refused(tmp_path, **half, rate_hz=16_000)
    assert "there is no channel 3: there are 2" in refused(tmp_path, **half, channels=[1, 3])
    assert "different numbers from 1 to 64" in refused(tmp_path, **half, channels=[1, 1])
    assert "different numbers from 1 to 64" in refused(tmp_path, **half, channels=[])
    assert "means nothing for a recording" in refused(tmp_path, **half, silence_s=5)
    assert "means nothing for a microphone" in refused(tmp_path, device="usb", loop=True)
    assert "name a .wav or .flac file, or a microphone" in refused(tmp_path, device=" ")


def test_a_rate_that_the_recording_has_may_be_named(tmp_path: Path) -> None:
    write(tmp_path)
    assert len(play(tmp_path, device="half.wav", rate_hz=RATE_HZ).packets) == 16


def test_a_flac_file_without_the_library_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "half.flac")
    monkeypatch.setattr("edgeapp.sources._flac.find_spec", lambda _: None)
    assert "pip install 'edgeapp[audio]'" in refused(tmp_path, device="half.flac")


def test_a_file_that_vanishes_is_waited_for(tmp_path: Path) -> None:
    options = AudioOptions(device=str(write(tmp_path)), speed="fast")
    (tmp_path / "half.wav").unlink()
    ran = run_source(Audio, options)
    assert not ran.packets
    assert ran.log.said("warning") == ["source unavailable, retrying"]


def test_a_library_that_cannot_be_loaded_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where libsndfile is missing."""
    write(tmp_path, "half.flac")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "soundfile.py").write_text("raise OSError('sndfile library not found')")
    monkeypatch.syspath_prepend(broken)
    monkeypatch.delitem(sys.modules, "soundfile")
    said = refused(tmp_path, device="half.flac")
    assert "soundfile, which cannot be used: sndfile library not found" in said
