"""Microphones: what waits, what is lost, which is meant; and a real PulseAudio to hear."""

import json
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeapp.api import Context, FakeClock, Signal, Stopping, Unavailable
from edgeapp.core.clock import MonotonicClock
from edgeapp.sources import _microphone
from edgeapp.sources._audio_options import AudioOptions, mixer
from edgeapp.sources._microphone import Ear
from edgeapp.sources.audio import Audio
from edgeapp.testing import context
from edgeapp.testing.stage import LogBook
from tests.held_up import again_if_held_up
from tests.pipelines.device import Running
from tests.servers.mosquitto import wait_until
from tests.servers.pulse import PulseAudio

try:
    import sounddevice  # noqa: F401  what is asked is whether it can be
except (ImportError, OSError) as _error:  # OSError: PortAudio itself is missing
    pytest.skip(f"no microphones here: {_error}", allow_module_level=True)
soundfile = pytest.importorskip("soundfile")

BLOCK, BLOCK_NS = 512, 32_000_000
OPTIONS = AudioOptions(device="default")
FINE = SimpleNamespace(input_overflow=False)
OVERFLOW = SimpleNamespace(input_overflow=True)


class Emitted(NamedTuple):
    signal: Signal
    t_ns: int
    span_ns: int
    lost: int


class Hearing:
    """Runs a source on a thread of its own, as a pipeline does, and keeps what it emits."""

    def __init__(self, options: AudioOptions) -> None:
        self.emitted: list[Emitted] = []
        self.context = context(clock=MonotonicClock())
        self._source = Audio(options, self.context)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: len(self.emitted) > 0 or not self._thread.is_alive(), "sound comes")
        return self

    def __exit__(self, *_: object) -> None:
        self.context.stopping.set()
        self._thread.join(60)

    def _run(self) -> None:
        with pytest.raises(Stopping):
            self._source.run(self._emit)

    def _emit(
        self, value: Signal, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
    ) -> None:
        assert t_ns is not None
        self.emitted.append(Emitted(value, t_ns, span_ns, lost))

    @property
    def heard(self) -> NDArray[np.float32]:
        return np.concatenate([each.signal.samples for each in self.emitted], axis=1)


def block(value: float) -> NDArray[np.float32]:
    return np.full((BLOCK, 1), value, np.float32)


def delay(seconds: float) -> SimpleNamespace:
    """PortAudio's times: so long ago it captured the first sample of this block."""
    return SimpleNamespace(currentTime=1000.0, inputBufferAdcTime=1000.0 - seconds)


def listen(ear: Ear, surroundings: Context, options: AudioOptions = OPTIONS) -> list[Emitted]:
    """What comes out of these blocks, until the device is found to be gone."""
    emitted: list[Emitted] = []

    def emit(value: Signal, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0) -> None:
        assert t_ns is not None
        emitted.append(Emitted(value, t_ns, span_ns, lost))

    ear.over.set()
    with pytest.raises(Unavailable, match="the microphone 'default' is gone"):
        _microphone._listen(options, surroundings, emit, ear, mixer("mono", 1))
    return emitted


def test_blocks_that_find_the_queue_full_are_counted_with_the_next_that_does_not() -> None:
    clock = FakeClock()
    ear = Ear(clock, 16_000, 0.032)
    room = 63  # two seconds
    for n in range(room + 5):
        clock.advance(0.032)
        ear.hear(block(n / 100), BLOCK, delay(0.032), FINE)
    first = [ear.next() for _ in range(10)]
    assert [each.dropped for each in first if each] == [0] * 10
    clock.advance(0.032)
    ear.hear(block(0.9), BLOCK, delay(0.032), FINE)
    emitted = listen(ear, context(clock=clock))
    assert [each.lost for each in emitted] == [0] * (room - 10) + [5]
    assert emitted[-1].signal.samples[0, 0] == pytest.approx(0.9)
    assert emitted[-1].t_ns == pytest.approx((room + 6) * BLOCK_NS, abs=1e6)


def test_an_overrun_of_the_driver_is_as_many_blocks_as_its_times_say() -> None:
    clock = FakeClock()
    ear = Ear(clock, 16_000, 0.032)
    for step, status in [(1, FINE), (1, FINE), (8, OVERFLOW), (1, FINE), (1, OVERFLOW)]:
        clock.advance(0.032 * step)
        ear.hear(block(0.1), BLOCK, delay(0.032), status)
    log = LogBook()
    emitted = listen(ear, context(clock=clock, log=log))
    assert [each.lost for each in emitted] == [0, 0, 7, 0, 1]
    assert [facts["so_far"] for _, _, facts in log.events] == [7, 8]
    times_ns = [each.t_ns for each in emitted]
    assert times_ns[:4] == pytest.approx([n * BLOCK_NS for n in (1, 2, 10, 11)], abs=2e6)
    assert times_ns == sorted(times_ns)


def test_what_the_driver_held_is_not_in_the_time() -> None:
    """A block of 32 ms whose first sample is 50 ms old ended 18 ms ago; nonsense is ignored."""
    clock = FakeClock(10**9)
    ear = Ear(clock, 16_000, 0.032)
    for seconds in (0.050, 0.0, -3.0, 1000.0):
        ear.hear(block(0), BLOCK, delay(seconds), FINE)
    ends_ns = [each.end_ns for each in iter(ear.next, None) if each][:4]
    assert ends_ns == [10**9 - 18_000_000, 10**9, 10**9, 10**9]


def test_a_microphone_that_gives_nothing_counts_as_gone() -> None:
    ear = Ear(MonotonicClock(), 16_000, 0.032)
    silent = AudioOptions(device="usb", silence_s=0.5)

    def emit(*_: object, **__: object) -> None:
        raise AssertionError

    with pytest.raises(Unavailable, match=r"'usb' gave no sound for 0\.5 s"):
        _microphone._listen(silent, context(clock=MonotonicClock()), emit, ear, mixer("mono", 1))


class Devices:
    """What PortAudio lists on a machine with these microphones, and a loudspeaker before them."""

    def __init__(self, *names: str) -> None:
        self._all: list[dict[str, Any]] = [
            {"index": 0, "name": "HDMI", "max_input_channels": 0}
        ] + [
            {"index": index, "name": name, "max_input_channels": 2}
            for index, name in enumerate(names, 1)
        ]

    def query_devices(self) -> list[dict[str, Any]]:
        return self._all


def test_a_microphone_is_found_by_its_name_a_part_of_it_or_its_number() -> None:
    devices = Devices("USB PnP: Audio (hw:1,0)", "ReSpeaker: - (hw:2,0)", "default")
    found = {
        wanted: _microphone._find(devices, wanted)["index"]
        for wanted in ("default", "respeaker", "hw:1,0", "2")
    }
    assert found == {"default": 3, "respeaker": 2, "hw:1,0": 1, "2": 2}
    assert _microphone._find(Devices("USB"), "default")["index"] == 1


def test_a_microphone_that_is_not_clear_is_named_with_those_that_there_are() -> None:
    devices = Devices("USB one", "USB two")
    with pytest.raises(Unavailable, match="no microphone 'hw:9'; there are: 1 'USB one', 2 'USB"):
        _microphone._find(devices, "hw:9")
    with pytest.raises(Unavailable, match="no microphone '0'"):
        _microphone._find(devices, "0")
    with pytest.raises(Unavailable, match="several microphones are called 'usb'"):
        _microphone._find(devices, "usb")
    with pytest.raises(Unavailable, match="this machine has no microphone"):
        _microphone._find(Devices(), "default")


def test_without_portaudio_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(Unavailable, match="sudo apt install libportaudio2"):
        _microphone.record(OPTIONS, context(), lambda *_, **__: None)


def test_without_sounddevice_the_check_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeapp.sources._audio_options.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'edgeapp\[audio\]'"):
        AudioOptions(device="default")


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Two seconds of noise, no two stretches of it alike, that begin and end audibly."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    sound[[0, -1]] = 0.5
    soundfile.write(tmp_path / "noise.wav", sound, 16_000, subtype="PCM_16")
    return tmp_path / "noise.wav"


@pytest.mark.slow
@again_if_held_up(0.05)
def test_what_is_played_arrives_sample_for_sample_and_in_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Path
) -> None:
    with PulseAudio(tmp_path) as pulse:
        pulse.speak_to_this_process(monkeypatch)
        with Hearing(OPTIONS) as hearing:
            begin_ns = time.monotonic_ns()
            pulse.play(noise)
            end_ns = time.monotonic_ns()
            wait_until(lambda: hearing.emitted[-1].t_ns > end_ns + 5e8, "the rest is heard")
    played, _ = soundfile.read(noise, dtype="float32")
    heard = hearing.heard[0]
    loud = np.flatnonzero(heard)
    np.testing.assert_array_equal(heard[loud[0] : loud[-1] + 1], played)
    assert sum(each.lost for each in hearing.emitted) == 0
    times_ns = np.array([each.t_ns for each in hearing.emitted])
    assert np.all(np.diff(times_ns) > 0)
    first_ns = times_ns[loud[0] // BLOCK] - BLOCK_NS
    last_ns = times_ns[loud[-1] // BLOCK]
    assert begin_ns - 1e8 < first_ns < last_ns < end_ns + 1e8
    assert last_ns - first_ns == pytest.approx(2e9, abs=1e8)


@pytest.mark.slow
@again_if_held_up(0.05)
def test_a_microphone_at_a_rate_and_with_channels_of_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Path
) -> None:
    """PulseAudio gives its one channel to both, at the rate that was asked for."""
    options = AudioOptions(device="pulse", rate_hz=48_000, channels=(1, 2), block_s=0.1)
    with PulseAudio(tmp_path) as pulse:
        pulse.speak_to_this_process(monkeypatch)
        with Hearing(options) as hearing:
            pulse.play(noise)
    signal = hearing.emitted[-1].signal
    assert (signal.rate_hz, signal.channels) == (48_000, ("left", "right"))
    assert signal.samples.shape == (2, 4_800)
    np.testing.assert_array_equal(hearing.heard[0], hearing.heard[1])
    assert np.abs(hearing.heard).max() > 0.3


@pytest.mark.slow
@again_if_held_up(0.05)
def test_two_microphones_are_heard_at_once_and_one_outlives_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Path
) -> None:
    """PortAudio is one for the process: opening and closing one leaves the other alone."""
    played, _ = soundfile.read(noise, dtype="float32")
    with PulseAudio(tmp_path) as pulse:
        pulse.speak_to_this_process(monkeypatch)
        with Hearing(OPTIONS) as long:
            with Hearing(AudioOptions(device="pulse")) as short:
                pulse.play(noise)
            pulse.play(noise)
            wait_until(lambda: not long.heard[0, -BLOCK:].any(), "all is heard")
    assert np.count_nonzero(short.heard) > 0.7 * len(played)
    assert np.count_nonzero(long.heard) == 2 * np.count_nonzero(played)
    assert sum(each.lost for each in long.emitted) == 0


@pytest.mark.slow
def test_a_microphone_that_vanishes_is_told_and_heard_again_when_it_is_back(
    tmp_path: Path, noise: Path
) -> None:
    """Of a whole device: the server is killed, and started again."""
    pipeline = tmp_path / "mic.yaml"
    pipeline.write_text("""
name: mic
stages:
  mic: {source: audio, device: default}
  cut: {transform: window, length_samples: 1600}
  loud: {transform: features}
  results: {output: jsonl, file: results.jsonl}
""")
    results = tmp_path / "data" / "mic" / "results.jsonl"

    def epochs() -> list[int]:
        if not results.exists():
            return []
        whole, _, _ = results.read_text().rpartition("\n")  # the last line may still be written
        return [json.loads(line)["epoch"] for line in whole.splitlines()]

    with (
        PulseAudio(tmp_path) as pulse,
        Running(tmp_path, pipeline, environment=pulse.environment) as running,
    ):
        wait_until(lambda: len(epochs()) > 5, "sound is heard")
        pulse.kill()
        wait_until(lambda: "source unavailable, retrying" in running.log(), "the loss is told")
        assert "the microphone 'default' is gone" in running.log()
        pulse.start()
        wait_until(lambda: epochs()[-1] > 0, "sound is heard again")
        pulse.play(noise)
        code, _ = running.stop()
    assert code == 0, running.log()
    assert "source available again" in running.log()
    assert epochs() == sorted(epochs())
