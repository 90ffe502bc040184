"""Pictures of runs. Skipped where matplotlib is not installed; that it is missing is told."""

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edgeapp.core.dial import Setting
from edgeapp.simulation.plot import Band, Chart, PlotError, draw, require_matplotlib


def chart() -> Chart:
    ticks = 600
    settings = [Setting(0), Setting(2, 2), None, Setting(1, 4), Setting(2, 0), Setting(0)]
    course = [settings[t // 100] for t in range(ticks)]
    return Chart(
        "burst_storm, seed 7",
        "utility 97.3 %",
        [float(t) for t in range(ticks)],
        [None if 200 < t < 220 else 70 + t / 50 for t in range(ticks)],
        [None] * 30 + [70.5 + t / 50 for t in range(ticks - 30)],
        [25.0] * ticks,
        80.0,
        [1.5] * ticks,
        [2.0 if t % 100 < 20 else 0.1 for t in range(ticks)],
        4.0,
        (Band("camera", ("big", "mid", "small"), course), Band("audio", ("a", "b", "c"), course)),
        ((300.0, 400.0, "freeze"),),
    )


@pytest.fixture
def matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="pip install 'edgeapp[plot]'")


@pytest.mark.slow
@pytest.mark.usefixtures("matplotlib")
def test_a_png_is_1200_pixels_wide(tmp_path: Path) -> None:
    draw(chart(), tmp_path / "run.png")
    head = (tmp_path / "run.png").read_bytes()[:24]
    width, height = struct.unpack(">II", head[16:24])
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert width == 1200
    assert 400 < height < 1200


@pytest.mark.slow
@pytest.mark.usefixtures("matplotlib")
def test_an_svg_names_what_it_shows_and_is_the_same_each_time(tmp_path: Path) -> None:
    draw(chart(), tmp_path / "run.svg")
    draw(chart(), tmp_path / "again.svg")
    text = (tmp_path / "run.svg").read_bytes()
    assert text == (tmp_path / "again.svg").read_bytes()
    words = " ".join(t for t in ET.fromstring(text).itertext() if t.strip())
    for word in ("burst_storm", "97.3", "camera", "audio", "trip 80", "sensor: freeze", "others"):
        assert word in words


@pytest.mark.slow
@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize(
    "change",
    [
        {"bands": ()},
        {"die_c": [None] * 600, "forecast_c": [None] * 600},
        {"ambient_c": [None] * 600},
        {"own_cores": [None] * 600, "foreign_cores": [None] * 600},
    ],
    ids=["nothing to choose", "no heat", "no ambient", "no load"],
)
def test_what_is_not_known_is_left_out(change: dict[str, object], tmp_path: Path) -> None:
    draw(replace(chart(), **change), tmp_path / "run.png")  # type: ignore[arg-type]  # fields of it
    assert (tmp_path / "run.png").stat().st_size > 5_000


@pytest.mark.slow
@pytest.mark.usefixtures("matplotlib")
def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlotError, match="cannot be written"):
        draw(chart(), tmp_path / "none" / "run.png")


def test_without_matplotlib_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlotError, match=r"pip install 'edgeapp\[plot\]'"):
        require_matplotlib()


def test_nothing_but_a_picture_needs_matplotlib() -> None:
    """Whoever simulates without --plot does not load it."""
    code = (
        "import sys, edgeapp.simulation.contest, edgeapp.simulation.series; "
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
