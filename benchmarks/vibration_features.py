"""What `features` costs against the same numbers composed from scipy's functions.

One window of three axes at 25.6 kHz, one second: moments, velocity, one band, bearing lines.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import Row, alternate, at_most, median_ratio, spread

RATE_HZ = 25_600
WINDOWS = 40
BAND_HZ = (10.0, 1500.0)
ENVELOPE_HZ = (2000.0, 10_000.0)
SPEED_RPM = 1797.0


def recordings() -> list[NDArray[np.float32]]:
    """A few windows, so that no cache holds them all."""
    rng = np.random.default_rng(1)
    return [rng.normal(size=(3, RATE_HZ)).astype(np.float32) for _ in range(8)]


def ours() -> float:
    """Seconds of CPU time for `WINDOWS` windows, through the stage."""
    from edgeapp.api import Signal
    from edgeapp.testing import context, packets
    from edgeapp.transforms.features import FeaturesOfSignal, FeaturesOptions

    stage = FeaturesOfSignal(
        FeaturesOptions.model_validate(
            {
                "band_hz": BAND_HZ,
                "bearing": {},
                "speed_rpm": SPEED_RPM,
                "envelope_hz": ENVELOPE_HZ,
            }
        ),
        context(),
    )
    units = ("m/s²",) * 3
    stream = list(packets(Signal(r, float(RATE_HZ), ("x", "y", "z"), units) for r in recordings()))
    stage.process_many(stream)
    begin = time.process_time()
    for _ in range(WINDOWS // len(stream)):
        stage.process_many(stream)
    return time.process_time() - begin


def scipys() -> float:
    """Seconds of CPU time for as many windows, as one would write it with scipy."""
    from scipy import signal, stats

    from edgeapp.core.bearing import BearingGeometry

    orders = BearingGeometry().orders()
    strikes_hz = [order * SPEED_RPM / 60 for order in (orders.outer, orders.inner, orders.cage)]
    strikes_hz.append(2 * orders.spin * SPEED_RPM / 60)
    sections = signal.butter(4, ENVELOPE_HZ, "bandpass", fs=RATE_HZ, output="sos")

    def features(samples: NDArray[np.float32]) -> list[float]:
        found: list[float] = []
        for axis in samples:
            centred = axis - axis.mean()
            rms = np.sqrt(np.mean(centred**2))
            peak = np.abs(centred).max()
            found += [float(axis.mean()), rms, peak, float(np.ptp(axis)), peak / rms]
            found += [stats.kurtosis(axis, fisher=False), stats.skew(axis)]
            frequencies, density = signal.periodogram(axis, RATE_HZ, "hann")
            for low, high, divisor in (
                (*BAND_HZ, np.ones_like(frequencies)),
                (10.0, 1000.0, 2e-3 * np.pi * frequencies),
            ):
                inside = (frequencies >= low) & (frequencies <= high)
                found.append(float(np.sqrt(np.sum(density[inside] / divisor[inside] ** 2))))
            squared = np.abs(signal.hilbert(signal.sosfilt(sections, centred))) ** 2
            lines = np.abs(
                np.fft.rfft((squared - squared.mean()) * signal.get_window("hann", len(squared)))
            )
            for strike_hz in strikes_hz:
                for harmonic in (1, 2, 3):
                    low = round(harmonic * strike_hz * 0.98)
                    high = round(harmonic * strike_hz * 1.02)
                    found.append(float(lines[low : high + 1].max()))
        return found

    stream = recordings()
    features(stream[0])
    begin = time.process_time()
    for _ in range(WINDOWS // len(stream)):
        for samples in stream:
            features(samples)
    return time.process_time() - begin


def rows() -> list[Row]:
    """Measure."""
    this = Path(__file__).stem
    pairs = alternate([this, "--ours"], [this, "--scipy"])
    each_ms = [reading["cpu_s"] / WINDOWS * 1000 for reading in pairs[-1]]
    return [
        at_most(
            "vibration features, CPU vs the same composed from scipy",
            median_ratio(pairs, "cpu_s"),
            0.35,
            f"{each_ms[0]:.1f} vs {each_ms[1]:.1f} ms/window of 3 x 25,600, "
            + spread(pairs, "cpu_s"),
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--scipy", action="store_true")
    given = parser.parse_args()
    if given.ours or given.scipy:
        sys.stdout.write(json.dumps({"cpu_s": ours() if given.ours else scipys()}) + "\n")
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
