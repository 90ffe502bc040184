"""Recordings of enDAQ loggers, measured by `window` and `features`, against scipy's Welch."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal as scipy_signal

from edgeapp.sources.vibration import Vibration
from edgeapp.sources.vibration_options import STANDARD_GRAVITY
from edgeapp.testing import run_source, run_stage
from edgeapp.transforms import _spectral
from edgeapp.transforms.features import FeaturesOfSignal
from edgeapp.transforms.window import Window

MAIN_ACCELEROMETER = 8
LENGTH = 1000


def read_ide(path: Path) -> tuple[float, NDArray[np.float64]]:
    """Rate in Hz and acceleration in g, (3, samples), of the fast accelerometer."""
    idelib = pytest.importorskip("idelib")
    recording = idelib.importFile(str(path))
    try:
        session = recording.channels[MAIN_ACCELEROMETER].getSession()
        return session.getSampleRate(), session.arraySlice()[1:4]
    finally:
        recording.close()


@pytest.mark.parametrize("name", ["SSX66115.IDE", "test3.IDE"])
def test_spectra_of_a_real_logger_equal_scipys_welch(
    name: str, data_dir: Path, tmp_path: Path
) -> None:
    """From the file through source and window, half overlapping, every bin to 1e-4.

    The band RMS of `features`, averaged over the same windows, is the area under that spectrum.
    """
    rate_hz, in_g = read_ide(data_dir / "vibration" / name)
    np.save(tmp_path / "logger.npy", in_g)
    options = {
        "device": "logger.npy",
        "rate_hz": rate_hz,
        "unit": "g",
        "channels": ["x", "y", "z"],
        "speed": "fast",
        "block_s": 0.33,
    }
    blocks = run_source(Vibration, options, folder=tmp_path).packets
    windows = run_stage(
        Window, {"length_samples": LENGTH, "hop_samples": LENGTH // 2}, blocks
    ).packets
    measured = [_power(packet.value.samples) for packet in windows]
    ours = np.mean(measured, axis=0) * LENGTH / rate_hz

    frequencies, theirs = scipy_signal.welch(
        in_g * STANDARD_GRAVITY, rate_hz, "hann", LENGTH, detrend="constant"
    )
    assert len(windows) > 90
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], rtol=1e-4)

    band = {"band_hz": [20, 2000]}
    features = run_stage(FeaturesOfSignal, band, windows, burst=64).values
    column = features[0].names.index("z.rms_20_2000_hz")
    mean_square = np.mean([value.values[column] ** 2 for value in features])
    inside = (frequencies >= 20) & (frequencies <= 2000)
    assert mean_square == pytest.approx(theirs[2][inside].sum() * frequencies[1], rel=1e-4)


def _power(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    centred = samples - samples.mean(axis=-1, keepdims=True, dtype=np.float64)
    return _spectral.power(_spectral.hann_rfft(centred), samples.shape[-1])
