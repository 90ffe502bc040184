"""`features` against scipy, which computes the same in its own way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import signal as scipy_signal
from scipy import stats

from edgeapp.api import BadPacket, Features, Packet, Signal
from edgeapp.testing import context, packets, run_stage
from edgeapp.transforms.features import FeaturesOfSignal, FeaturesOptions

ACCELERATION = "m/s²"


def window(
    samples: NDArray[Any], rate_hz: float = 10_000.0, units: Sequence[str] | None = None
) -> Signal:
    samples = np.atleast_2d(samples).astype(np.float32)
    names = tuple("xyz"[: len(samples)])
    return Signal(samples, rate_hz, names, tuple(units or [ACCELERATION] * len(samples)))


def noise(seed: int = 1, channels: int = 2, count: int = 10_000) -> NDArray[np.float32]:
    """Skewed, heavy-tailed noise around a level, as float32."""
    rng = np.random.default_rng(seed)
    return (9.81 + rng.gamma(2.0, 1.5, (channels, count))).astype(np.float32)


def features_of(signal: Signal, **options: Any) -> dict[str, float]:
    stage = FeaturesOfSignal(FeaturesOptions.model_validate(options), context())
    (packet,) = packets([signal])
    features = stage.process(packet)
    return dict(zip(features.names, features.values.tolist(), strict=True))


def density(samples: NDArray[np.float32], rate_hz: float) -> tuple[NDArray[Any], NDArray[Any]]:
    return scipy_signal.periodogram(samples.astype(float), rate_hz, "hann", detrend="constant")  # type: ignore[no-any-return]  # scipy has no types


def test_moments_equal_scipy() -> None:
    samples = noise()
    found = features_of(window(samples))
    for name, channel in zip("xy", samples.astype(float), strict=True):
        centred = channel - channel.mean()
        assert found[f"{name}.mean"] == pytest.approx(channel.mean(), rel=1e-9)
        assert found[f"{name}.rms"] == pytest.approx(channel.std(), rel=1e-9)
        assert found[f"{name}.peak"] == pytest.approx(np.abs(centred).max(), rel=1e-9)
        assert found[f"{name}.peak_to_peak"] == pytest.approx(np.ptp(channel), rel=1e-9)
        assert found[f"{name}.crest"] == pytest.approx(
            np.abs(centred).max() / channel.std(), rel=1e-9
        )
        assert found[f"{name}.skewness"] == pytest.approx(stats.skew(channel), rel=1e-9)
        assert found[f"{name}.kurtosis_pearson"] == pytest.approx(
            stats.kurtosis(channel, fisher=False), rel=1e-9
        )


def test_kurtosis_of_gaussian_noise_is_three() -> None:
    """Pearson's, not the excess; the two are easily mistaken for each other."""
    gaussian = np.random.default_rng(5).normal(size=100_000)
    assert features_of(window(gaussian))["x.kurtosis_pearson"] == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("count", [10_000, 9_999, 4_096])
def test_bands_equal_the_area_under_scipys_spectrum(count: int) -> None:
    samples = noise(count=count)
    found = features_of(window(samples), band_hz=[[10, 1500], [2000, 5000]])
    frequencies, power = density(samples, 10_000)
    for name, spectrum in zip("xy", power, strict=True):
        for low, high in (10, 1500), (2000, 5000):
            inside = (frequencies >= low) & (frequencies <= high)
            expected = np.sqrt(spectrum[inside].sum() * frequencies[1])
            assert found[f"{name}.rms_{low}_{high}_hz"] == pytest.approx(expected, rel=1e-6)


def test_one_band_may_be_given_without_a_list() -> None:
    assert "x.rms_10_1500_hz" in features_of(window(noise(channels=1)), band_hz=[10, 1500])


def test_velocity_of_1_g_at_159_155_hz_is_9_807_mm_per_s() -> None:
    """There 2 pi f is 1000 / s: V = A / (2 pi f). At any phase, and beside gravity."""
    t = np.arange(10_000) / 10_000
    for phase in 0.0, 1.0:
        wave = 9.80665 * np.sqrt(2) * np.sin(2 * np.pi * 159.155 * t + phase) + 9.80665
        assert features_of(window(wave))["x.velocity_rms"] == pytest.approx(9.807, abs=0.001)


def test_velocity_equals_the_integral_of_scipys_spectrum() -> None:
    samples = noise(channels=1)
    frequencies, power = density(samples, 10_000)
    inside = (frequencies >= 10) & (frequencies <= 1000)
    metres = power[0][inside] / (2 * np.pi * frequencies[inside]) ** 2
    expected = 1000 * np.sqrt(metres.sum() * frequencies[1])
    assert features_of(window(samples))["x.velocity_rms"] == pytest.approx(expected, rel=1e-6)


def test_velocity_leaves_out_what_is_below_10_hz_and_above_1000_hz() -> None:
    t = np.arange(10_000) / 10_000
    wave = 5 * np.sin(2 * np.pi * 5 * t) + 50 * np.sin(2 * np.pi * 2000 * t)
    assert features_of(window(wave))["x.velocity_rms"] < 0.01


def test_velocity_is_for_acceleration_only() -> None:
    found = features_of(window(noise(), units=[ACCELERATION, "bar"]))
    assert "x.velocity_rms" in found
    assert "y.velocity_rms" not in found
    assert "y.rms" in found


@pytest.mark.parametrize(("rate_hz", "count"), [(2_000.0, 4_000), (10_000.0, 3_900)])
def test_no_velocity_where_the_band_cannot_be_seen(rate_hz: float, count: int) -> None:
    """At 2000 Hz the band's end is lost, and 0.39 s do not separate 10 Hz from what is below: better none than half."""
    assert "x.velocity_rms" not in features_of(window(noise(count=count), rate_hz))


def envelope_by_scipy(samples: NDArray[Any], rate_hz: float, low: float, high: float) -> Any:
    """Squared envelope spectrum the long way: mask, inverse FFT, Hilbert, square, FFT."""
    count = len(samples)
    hann = scipy_signal.get_window("hann", count)
    bins = np.fft.rfft((samples - samples.mean()) * hann)
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    bins[(frequencies < low) | (frequencies > high)] = 0
    squared = np.abs(scipy_signal.hilbert(np.fft.irfft(bins, count))) ** 2
    squared -= hann**2 * squared.sum() / (hann**2).sum()
    return frequencies, np.abs(np.fft.rfft(squared)) * 2 / (hann**2).sum()


def test_envelope_lines_equal_the_long_way_with_scipy() -> None:
    rng = np.random.default_rng(3)
    rate_hz, count = 12_000.0, 24_000
    t = np.arange(count) / rate_hz
    beat = (1 + np.cos(2 * np.pi * 107.4 * t)) * np.sin(2 * np.pi * 3500 * t)
    samples = (beat + rng.normal(scale=0.3, size=count)).astype(np.float32)
    found = features_of(
        window(samples, rate_hz), bearing={}, speed_rpm=1797, envelope_hz=[2500, 4500], slip=0.02
    )
    frequencies, lines = envelope_by_scipy(samples.astype(float), rate_hz, 2500, 4500)
    for order, name in (3.584776, "outer"), (5.415224, "inner"), (0.398308, "cage"):
        for harmonic in 1, 2, 3:
            middle = order * harmonic * 1797 / 60
            near = np.abs(frequencies - middle) <= max(0.02 * middle, 0.5) + 0.26
            assert found[f"x.{name}_{harmonic}"] == pytest.approx(lines[near].max(), rel=1e-4)
    assert found["x.outer_1"] == pytest.approx(2, rel=0.05)  # of (1 + cos)² = 1.5 + 2 cos + ...
    assert found["x.outer_hz"] == pytest.approx(107.4, abs=0.05)


def test_a_burst_equals_one_by_one() -> None:
    """Windows of two forms mixed, more than fit the scratch memory at once."""
    signals = [window(noise(seed, 2 if seed % 5 else 1, 4_000), 10_000.0) for seed in range(1, 60)]
    options = FeaturesOptions.model_validate(
        {"band_hz": [10, 1500], "bearing": {}, "speed_rpm": 1797, "envelope_hz": [2000, 4500]}
    )
    stream = list(packets(signals))
    many = FeaturesOfSignal(options, context()).process_many(stream)
    singly = FeaturesOfSignal(options, context())
    for packet, together in zip(stream, many, strict=True):
        alone = singly.process(packet)
        assert alone.names == together.names
        np.testing.assert_allclose(together.values, alone.values, rtol=1e-9, atol=1e-12)


def test_features_do_not_depend_on_how_samples_lie_in_memory() -> None:
    """A window is often a view into a longer block."""
    block = noise(count=20_000)
    view, copy = block[:, 5_000:15_000], block[:, 5_000:15_000].copy()
    assert features_of(window(view)) == features_of(window(copy))


def test_channels_that_stand_still_give_numbers() -> None:
    still = np.stack([np.zeros(10_000), np.full(10_000, 9.81)])
    found = features_of(
        window(still), band_hz=[10, 1500], bearing={}, speed_rpm=1797, envelope_hz=[2000, 4500]
    )
    assert np.isfinite(list(found.values())).all()
    for name in ("rms", "crest", "kurtosis_pearson", "skewness"):
        assert found[f"x.{name}"] == found[f"y.{name}"] == 0


def test_a_window_with_nan_is_dropped_and_its_neighbours_are_not() -> None:
    good, bad = noise(1), noise(2)
    bad[1, 77] = np.nan
    ran = run_stage(
        FeaturesOfSignal, {}, packets([window(good), window(bad), window(good)]), burst=3
    )
    assert [packet.seq for packet in ran.packets] == [0, 2]
    assert ran.dropped == {"not_finite": 1}


@pytest.mark.parametrize(
    ("options", "rate_hz", "count", "says"),
    [
        ({"band_hz": [10, 6000]}, 10_000, 10_000, "half the sampling rate"),
        ({"band_hz": [10, 12]}, 10_000, 500, "longer window"),
        ({"bearing": {}, "speed_rpm": 1800}, 3_200, 6_400, "sample faster, or set envelope_hz"),
        ({"bearing": {}, "speed_rpm": 600}, 25_600, 12_800, "needs 0.75 s or more"),
    ],
)
def test_what_cannot_be_measured_is_said_with_a_remedy(
    options: dict[str, Any], rate_hz: float, count: int, says: str
) -> None:
    with pytest.raises(BadPacket, match=says):
        features_of(window(noise(count=count), rate_hz), **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"band_hz": [1500, 10]}, "higher upper edge"),
        ({"band_hz": [[10, 20], [30, 25]]}, "higher upper edge"),
        ({"bearing": {}}, "belong together"),
        ({"speed_rpm": 1500}, "belong together"),
        ({"envelope_hz": [-5, 10]}, "higher upper edge"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        FeaturesOptions.model_validate(options)


def test_names_and_units_belong_together() -> None:
    """What the wire shows: channel.feature, and the unit of each."""
    stage = FeaturesOfSignal(FeaturesOptions(), context())
    stream: list[Packet[Signal]] = list(packets([window(noise(channels=1))]))
    features: Features = stage.process(stream[0])
    assert dict(zip(features.names, features.units, strict=True)) == {
        "x.mean": ACCELERATION,
        "x.rms": ACCELERATION,
        "x.peak": ACCELERATION,
        "x.peak_to_peak": ACCELERATION,
        "x.crest": "1",
        "x.kurtosis_pearson": "1",
        "x.skewness": "1",
        "x.velocity_rms": "mm/s",
    }


def turning(rpm: float, rate_hz: float = 12_000.0, seconds: float = 2.0) -> Signal:
    """A bearing's outer race struck at this speed, and a tacho of two pulses a turn."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    strikes = 1 + np.cos(2 * np.pi * 3.584776 * rpm / 60 * t)
    x = strikes * np.sin(2 * np.pi * 3500 * t)
    tacho = (t * rpm / 60 * 2 + 0.1) % 1 < 0.4
    samples = np.stack([x, tacho * 3.3]).astype(np.float32)
    return Signal(samples, rate_hz, ("x", "t"), (ACCELERATION, "V"))


TACHO = {"bearing": {}, "tacho_channel": "t", "pulses_per_rev": 2, "envelope_hz": [2500, 4500]}


@pytest.mark.parametrize("rpm", [900.0, 1797.0, 3000.0])
def test_a_bearings_lines_follow_the_speed_of_the_tacho(rpm: float) -> None:
    found = features_of(turning(rpm), **TACHO)
    assert found["t.speed_rpm"] == pytest.approx(rpm, rel=1e-3)
    assert found["x.outer_hz"] == pytest.approx(3.584776 * rpm / 60, rel=2e-3)
    assert found["x.outer_1"] == pytest.approx(
        2, rel=0.1
    )  # between two bins it reads up to a tenth lower
    assert found["x.inner_1"] < 0.2
    assert [name for name in found if name.startswith("t.")] == ["t.speed_rpm"]


def test_lines_at_a_measured_speed_equal_those_at_the_same_speed_given() -> None:
    signal = turning(1797)
    alone = Signal(signal.samples[:1].copy(), signal.rate_hz, ("x",), (ACCELERATION,))
    measured = features_of(signal, **TACHO)
    given = features_of(alone, bearing={}, speed_rpm=1797, envelope_hz=[2500, 4500])
    for name, value in given.items():
        assert measured[name] == pytest.approx(value, rel=1e-3, abs=1e-6)


def test_windows_at_any_speed_have_the_same_features_and_standing_has_no_lines() -> None:
    stage = FeaturesOfSignal(FeaturesOptions.model_validate(TACHO), context())
    standing = turning(1797)
    samples = standing.samples.copy()
    samples[1] = 0
    standing = Signal(samples, standing.rate_hz, standing.channels, standing.units)
    signals = [turning(1797), standing, turning(30), turning(60_000)]
    many = stage.process_many(list(packets(signals)))
    assert len({features.names for features in many}) == 1
    by_name = [dict(zip(f.names, f.values.tolist(), strict=True)) for f in many]
    assert by_name[0]["x.outer_1"] > 1
    assert [found["x.outer_1"] for found in by_name[1:3]] == [0, 0]
    assert by_name[1]["t.speed_rpm"] == 0
    assert by_name[1]["x.rms"] > 0.5


def test_a_tacho_that_is_not_there_drops_the_window() -> None:
    ran = run_stage(FeaturesOfSignal, {"tacho_channel": "w"}, packets([turning(900)]))
    assert dict(ran.dropped) == {"no_tacho": 1}
