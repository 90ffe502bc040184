"""What cannot be seen in the signal that will come is refused by `check`, at its place."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.errors import Complaint, ConfigError
from edgeapp.plan.load import load

BEARING = "bearing: {balls: 9, ball_mm: 7.94, pitch_mm: 39.04}, speed_rpm: 1797"
SECOND = "second: {transform: window, length_s: 1.0}"
GROUP_2 = "group: 2, mounting: rigid"

Checked = Callable[..., list[Complaint]]


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """What is wrong with a pipeline of these stages; each stands on a line of its own, from 3 on."""
    (tmp_path / "pump.csv").write_text("x\n1\n2\n3\n")

    def check(*stages: str) -> list[Complaint]:
        file = tmp_path / "pump.yaml"
        lines = ["name: pump", "stages:", *(f"  {stage}" for stage in stages)]
        file.write_text("\n".join([*lines, "  log: {action: log}"]) + "\n")
        try:
            load([file], device=DeviceConfig("d", tmp_path, None, None))
        except ConfigError as error:
            return list(error.complaints)
        return []

    return check


def at(complaints: Iterable[Complaint]) -> list[tuple[int, int]]:
    return [(c.place.line, c.place.column) for c in complaints if c.place]


def test_an_adxl345_asked_for_an_envelope_at_5_khz_is_refused_with_the_reason(
    checked: Checked,
) -> None:
    lines = f"lines: {{transform: features, {BEARING}, envelope_hz: [4000, 6000]}}"
    found = checked(
        "pump: {source: vibration, device: 'iio:adxl345', rate_hz: 3200}", SECOND, lines
    )
    (wrong,) = found
    assert wrong.problem == (
        "stage 'lines': envelope_hz: a bearing's impacts are looked for in the envelope of the band "
        "[4000, 6000] Hz, but at 3200 Hz an ADXL345 gives nothing above 1600 Hz"
    )
    assert wrong.remedy == (
        "take a faster sensor, or set envelope_hz around a resonance below 1520 Hz"
    )
    assert at(found) == [(5, 3 + lines.index("[4000"))]


@pytest.mark.parametrize(
    ("stages", "line", "says"),
    [
        (
            [
                "s: {source: vibration, device: 'iio:adxl355', rate_hz: 4000}",
                SECOND,
                "f: {transform: features, band_hz: [10, 1500]}",
            ],
            5,
            "at 4000 Hz an ADXL355 gives nothing above 1000 Hz",
        ),
        (
            ["s: {source: bearing}", SECOND, "f: {transform: features, band_hz: [10, 7000]}"],
            5,
            "sampled at 12000 Hz, the signal holds nothing above 6000 Hz",
        ),
        (
            ["s: {source: bearing}", SECOND, "f: {transform: features, band_hz: [10.1, 10.9]}"],
            5,
            "falls between the 1 Hz wide steps",
        ),
        (
            [
                "s: {source: vibration, device: pump.csv, rate_hz: 3200}",
                SECOND,
                f"f: {{transform: features, {BEARING}}}",
            ],
            5,
            "sampled at 3200 Hz, the signal holds nothing above 1600 Hz",
        ),
        (
            [
                "s: {source: vibration, device: 'serial:/dev/ttyS0', rate_hz: 12000}",
                SECOND,
                f"f: {{transform: features, {BEARING}, envelope_hz: [2000, 2200]}}",
            ],
            5,
            "too narrow for impacts at up to 162 Hz",
        ),
        (
            [
                "s: {source: bearing}",
                "w: {transform: window, length_samples: 2048}",
                f"f: {{transform: features, {BEARING}}}",
            ],
            5,
            "0.171 s at a time are too short to tell this bearing's lines apart",
        ),
        (
            ["s: {source: bearing}", f"f: {{transform: features, {BEARING}}}"],
            4,
            "0.05 s at a time are too short",
        ),
        (
            ["s: {source: bearing}", f"h: {{transform: machine_health, {GROUP_2}}}"],
            4,
            "takes windows of 0.4 s, but it is given 0.05 s at a time",
        ),
        (
            [
                "s: {source: bearing}",
                SECOND,
                f"h: {{transform: machine_health, {GROUP_2}, speed_rpm: 300}}",
            ],
            5,
            "from 2 Hz on, which takes windows of 2 s",
        ),
        (
            [
                "s: {source: vibration, device: 'iio:adxl345', rate_hz: 1600}",
                SECOND,
                f"h: {{transform: machine_health, {GROUP_2}}}",
            ],
            5,
            "judges the velocity from 10 to 1000 Hz, but at 1600 Hz an ADXL345 gives nothing above",
        ),
        (
            ["s: {source: bearing}", "w: {transform: window, length_s: 0.00001}"],
            4,
            "a window of 0 samples",
        ),
        (
            [
                "s: {source: vibration, device: 'iio:adxl345', rate_hz: 12800}",
            ],
            3,
            "an ADXL345 samples at 3200 Hz at most",
        ),
        (
            [
                "s: {source: bearing}",
                SECOND,
                "f: {transform: features, bearing: {}}",
            ],
            5,
            "give speed_rpm, or tacho_channel",
        ),
    ],
)
def test_what_cannot_be_seen_is_refused_where_it_is_asked_for(
    checked: Checked, stages: list[str], line: int, says: str
) -> None:
    found = checked(*stages)
    assert [says in wrong.problem for wrong in found] == [True], found
    assert [where for where, _ in at(found)] == [line]


@pytest.mark.parametrize(
    "stages",
    [
        [
            "s: {source: vibration, device: 'iio:adxl355', rate_hz: 4000}",
            SECOND,
            f"h: {{transform: machine_health, {GROUP_2}}}",
        ],
        [
            "s: {source: vibration, device: 'iio:adxl345'}",
            SECOND,
            "f: {transform: features, band_hz: [10, 1600]}",
        ],
        ["s: {source: bearing}", SECOND, f"f: {{transform: features, {BEARING}}}"],
        [
            "s: {source: bearing}",
            SECOND,
            "f: {transform: features, bearing: {}, tacho_channel: t, band_hz: [10, 6000]}",
        ],
        [
            "s: {source: vibration, device: 'serial:/dev/ttyS0'}",
            "f: {transform: features, band_hz: [10, 50000]}",
        ],
        [
            "s: {source: vibration, device: 'iio:adxl999'}",
            SECOND,
            f"h: {{transform: machine_health, {GROUP_2}}}",
        ],
    ],
    ids=["velocity", "full rate of the sensor", "envelope", "tacho", "unknown rate", "unknown"],
)
def test_what_can_be_seen_or_is_not_known_is_not_complained_about(
    checked: Checked, stages: list[str]
) -> None:
    assert checked(*stages) == []


def test_a_stage_that_passes_on_what_comes_in_changes_nothing(checked: Checked) -> None:
    found = checked(
        "s: {source: bearing}",
        "e: {transform: every, seconds: 1}",
        SECOND,
        "f: {transform: features, band_hz: [10, 7000]}",
    )
    assert at(found) == [(6, 37)]


def test_resampling_changes_what_can_be_seen(checked: Checked) -> None:
    pytest.importorskip("soxr")
    found = checked(
        "s: {source: bearing}",
        "r: {transform: resample, rate_hz: 4000}",
        SECOND,
        "f: {transform: features, band_hz: [10, 1900]}",
        f"h: {{transform: machine_health, {GROUP_2}, from: second}}",
    )
    (wrong,) = found
    assert "sampled at 4000 Hz, the signal holds nothing above 1800 Hz" in wrong.problem


PLUGIN = '''
from edgeapp.api import *


class OddOptions(Options):
    """Odd."""

    def sampling(self) -> Sampling:
        raise RuntimeError("not today")


@source("odd")
class Odd:
    """Odd."""

    def __init__(self, options: OddOptions, context: Context) -> None: ...

    def run(self, emit: Emit[Signal], /) -> None: ...
'''


def test_a_plugin_whose_physics_fail_is_named(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/odd.py").write_text(PLUGIN)
    file = tmp_path / "pump.yaml"
    file.write_text("name: pump\nstages:\n  s: {source: odd}\n  l: {action: log}\n")
    device = DeviceConfig("d", tmp_path, tmp_path / "plugins", None)
    with pytest.raises(ConfigError, match=r"physics of source 'odd' .*RuntimeError: not today"):
        load([file], device=device)
