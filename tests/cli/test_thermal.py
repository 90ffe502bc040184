"""`edgeapp thermal` and `edgeapp calibrate`, in this process and as processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeapp.cli import exits, main
from edgeapp.simulation.trace import read_trace, write_trace
from edgeapp.simulation.trials import SCENARIOS
from tests.simulation.bench_device import BenchDevice
from tests.simulation.test_fitted import COURSE
from tests.simulation.test_fitted import recording as recording_of
from tests.simulation.traces import PLANT, RECORDING, plant, written

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *arguments: str | Path, code: int = exits.OK) -> str:
    """What a command prints, once it has ended with `code`."""
    ended = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    assert ended == code, shown.err + shown.out
    assert "Traceback" not in shown.err
    return shown.out if code in {exits.OK, exits.FAILED} else shown.err


@contextmanager
def program(*arguments: str | Path, cwd: Path) -> "Iterator[subprocess.Popen[str]]":
    """Runs beside the test, and not longer."""
    with subprocess.Popen(
        [sys.executable, "-m", "edgeapp", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# -- record ---------------------------------------------------------------------------------


def test_recording_writes_a_trace_that_can_be_read(tmp_path: Path, capsys: Capture) -> None:
    """On this machine, whatever sensors it has: its load is always there."""
    file = tmp_path / "here.json"
    shown = said(capsys, "thermal", "record", "--for", "500ms", "--every", "100ms", "--out", file)
    assert re.search(r"^(Temperatures: |This device has no temperature sensor)", shown)
    assert re.search(rf"^{file}: [4-7] samples in \d+ ms, ", shown, re.MULTILINE)
    trace = read_trace(file)
    assert trace.samples is not None
    assert trace.tick_s == 0.1
    assert any(busy is not None for busy in trace.samples.column("total_cpu"))


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, capsys: Capture) -> None:
    file = written(tmp_path, RECORDING)
    before = file.read_bytes()
    assert "is there already" in said(capsys, "thermal", "record", "-o", file, code=exits.USAGE)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--every", "10ms"), exits.USAGE, "--every is 100ms to 1m, not '10ms'"),
        (("--for", "soon"), exits.USAGE, "'soon' is no duration"),
        (("--out", "none/x.json"), exits.NO_INPUT, "there is no folder 'none'"),
        (("--out", "."), exits.USAGE, "'.' is a folder"),
    ],
)
def test_what_cannot_be_recorded_is_a_sentence(
    arguments: tuple[str, ...], code: int, sentence: str, capsys: Capture
) -> None:
    assert sentence in said(capsys, "thermal", "record", *arguments, code=code)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_recording_is_whole(number: signal.Signals, tmp_path: Path) -> None:
    """Also one that stood still for a while in between."""
    with program("thermal", "record", "--every", "100ms", cwd=tmp_path) as process:
        assert process.stdout is not None
        opening = [process.stdout.readline() for _ in range(3)]
        assert "Ctrl-C ends it" in opening[-1]
        for meanwhile in (signal.SIGSTOP, signal.SIGCONT):
            time.sleep(1.5)
            process.send_signal(meanwhile)
        time.sleep(1.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == exits.OK, err
    assert "thermal_trace.json: " in out
    trace = read_trace(tmp_path / "thermal_trace.json")
    assert trace.samples is not None
    assert len(trace.samples.rows) >= 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["thermal_trace.json"]


# -- simulate -------------------------------------------------------------------------------


def test_the_built_in_traces_are_listed_with_what_they_are(capsys: Capture) -> None:
    listed = said(capsys, "thermal", "simulate", "--list").splitlines()
    assert [line.split()[0] for line in listed] == list(SCENARIOS)
    assert all(len(line.split()) > 3 for line in listed)


def test_a_device_is_simulated_and_compared(tmp_path: Path, capsys: Capture) -> None:
    shown = said(capsys, "thermal", "simulate", written(tmp_path, PLANT))
    assert re.search(
        r"^ambient_step, seed 7 .*: 2:00, 3 pipelines, trip at 80 °C$", shown, re.MULTILINE
    )
    for policy in ("governor", "none", "ladder", "best fixed", "clairvoyant"):
        assert re.search(rf"^  {policy} +\d+\.\d %", shown, re.MULTILINE)
    assert "All that the trace expects was met." in shown


def test_what_is_missed_is_said_and_is_exit_code_1(tmp_path: Path, capsys: Capture) -> None:
    file = written(
        tmp_path, plant(expect={"detects": {"undervoltage": [0, 60]}, "changes_max": 99})
    )
    shown = said(capsys, "thermal", "simulate", file, "--alone", code=exits.FAILED)
    assert re.search(r"Missed:\n  .*undervoltage", shown)
    assert "none" not in shown


def test_a_simulation_as_json(tmp_path: Path, capsys: Capture) -> None:
    file = written(tmp_path, PLANT)
    facts = json.loads(said(capsys, "thermal", "simulate", file, "--json", "--seed", "9"))
    assert facts["type"] == "simulation"
    assert facts["seed"] == 9
    governor = facts["policies"]["governor"]
    assert 0 < governor["utility"] <= facts["clairvoyant"] + 1e-9
    assert governor["ratio"] == pytest.approx(governor["utility"] / facts["clairvoyant"])
    assert facts["expect_missed"] == []


def test_the_same_seed_gives_the_same_run(tmp_path: Path, capsys: Capture) -> None:
    arguments = ("thermal", "simulate", written(tmp_path, PLANT), "--alone", "--json")
    assert said(capsys, *arguments) == said(capsys, *arguments)


def test_a_recording_is_replayed_without_a_claim_of_utility(
    tmp_path: Path, capsys: Capture
) -> None:
    file = written(tmp_path, RECORDING)
    shown = said(capsys, "thermal", "simulate", file)
    assert "up to 49.2 °C; 0 s at 80 °C or above" in shown
    assert "nothing can\nbe said of its utility" in shown
    assert f"edgeapp thermal fit {file}" in shown
    facts = json.loads(said(capsys, "thermal", "simulate", file, "--json"))
    assert facts["type"] == "replay"
    assert facts["utility"] is None


def test_every_mistake_in_a_trace_is_shown(tmp_path: Path, capsys: Capture) -> None:
    file = written(tmp_path, plant(sead=3, seed="x"))
    shown = said(capsys, "thermal", "simulate", file, code=exits.BAD_DATA)
    assert f"{file}: sead: is no such key; did you mean 'seed'?" in shown
    assert f"{file}: seed: is 'x'; give a whole number" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), exits.USAGE, "name at least one trace"),
        (("burst_strom",), exits.NO_INPUT, "did you mean 'burst_storm'? see --list"),
        (("cool_idle", "--plot", "run.bmp"), exits.USAGE, "'run.bmp' is no picture"),
        (("cool_idle", "--plot", "none/run.png"), exits.NO_INPUT, "there is no folder 'none'"),
        (("x" * 300,), exits.NO_INPUT, "cannot be looked for: File name too long"),
        (("cool_idle", "--plot", f"{'x' * 300}/a.png"), exits.NO_INPUT, "cannot be looked for"),
        (("cool_idle", "--pipelines", "x" * 300), exits.NO_INPUT, "cannot be looked for"),
        (("cool_idle", "--pipelines", "none.yaml"), exits.NO_INPUT, "there is no file 'none.yaml'"),
    ],
)
def test_what_cannot_be_simulated_is_a_sentence(
    arguments: tuple[str, ...], code: int, sentence: str, capsys: Capture
) -> None:
    assert sentence in said(capsys, "thermal", "simulate", *arguments, code=code)


@pytest.mark.parametrize("command", [("record", "--for", "1s", "--out"), ("fit",)])
def test_a_name_that_no_file_can_have_is_a_sentence(
    command: tuple[str, ...], capsys: Capture
) -> None:
    shown = said(capsys, "thermal", *command, "x" * 300, code=exits.NO_INPUT)
    assert "cannot be looked for: File name too long" in shown


def test_limits_that_are_impossible_are_said(tmp_path: Path, capsys: Capture) -> None:
    file = written(tmp_path, plant(limits={"trip_c": 5}))
    shown = said(capsys, "thermal", "simulate", file, "--alone", code=exits.BAD_DATA)
    assert shown.startswith("edgeapp: this cannot be governed:\n")
    assert "trip_c" in shown


def test_without_matplotlib_it_is_said_before_anything_is_simulated(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ("thermal", "simulate", "burst_storm", "--plot", "run.png")
    assert "pip install 'edgeapp[plot]'" in said(capsys, *arguments, code=exits.UNAVAILABLE)


@pytest.mark.slow
def test_each_run_is_drawn_into_a_picture_of_its_own(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="pip install 'edgeapp[plot]'")
    (tmp_path / "b").mkdir()
    files = [written(tmp_path, PLANT), written(tmp_path / "b", RECORDING)]
    shown = said(capsys, "thermal", "simulate", *files, "--alone", "--plot", tmp_path / "run.png")
    for number in (1, 2):
        assert f"Drawn into {tmp_path / f'run-{number}.png'}." in shown
        assert (tmp_path / f"run-{number}.png").read_bytes()[:4] == b"\x89PNG"


def test_pipelines_without_models_have_nothing_to_choose(
    tmp_path: Path, pump: Path, capsys: Capture
) -> None:
    arguments = ("thermal", "simulate", written(tmp_path, PLANT), "--pipelines", pump)
    assert "none of these pipelines has a model" in said(capsys, *arguments, code=exits.USAGE)


def test_pipelines_of_files_run_on_the_simulated_device(
    repo: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With assumed costs, which is said; on the trace's own limits."""
    if not (repo / "pipelines/models/conveyor_160.onnx").exists():
        pytest.skip("no model pipelines/models/conveyor_160.onnx")
    monkeypatch.chdir(repo)
    device = tmp_path / "device.yaml"
    device.write_text(f"device: porch\ndata_dir: {tmp_path}\n")
    arguments = [
        *("thermal", "simulate", written(tmp_path, PLANT), "--alone", "--device", device),
        *("--pipelines", "pipelines/inspection_demo.yaml"),
    ]
    code = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    assert code == exits.OK, shown.err
    assert ", 1 pipeline, trip at 80 °C" in shown.out
    assert "costs are assumed" in shown.err


# -- fit ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_recording_is_fitted_and_what_was_made_is_simulated(
    tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "porch.json"
    write_trace(file, recording_of(BenchDevice(ambient_c=10.0), *COURSE))
    shown = said(capsys, "thermal", "fit", file, "--ambient", "10")
    assert re.search(
        r"By 'cpu-thermal':\n  board  \+1[01]\.\d K for each busy core, in 2\d\d s", shown
    )
    made = tmp_path / "porch_plant.json"
    assert f"Kept in {made}." in shown
    facts: dict[str, Any] = json.loads(
        said(capsys, "thermal", "simulate", made, "--alone", "--json")
    )
    assert facts["policies"]["governor"]["utility"] > 0.3


def test_what_cannot_be_fitted_is_a_sentence(tmp_path: Path, capsys: Capture) -> None:
    file = written(tmp_path, RECORDING)
    assert "usable samples" in said(capsys, "thermal", "fit", file, code=exits.BAD_DATA)
    file = written(tmp_path, PLANT)
    assert "is a device already" in said(capsys, "thermal", "fit", file, code=exits.USAGE)
    assert "there is no file" in said(capsys, "thermal", "fit", "no.json", code=exits.NO_INPUT)


# -- calibrate ------------------------------------------------------------------------------


def test_a_device_without_a_sensor_cannot_be_calibrated(capsys: Capture) -> None:
    if list(Path("/sys/class/thermal").glob("thermal_zone*")) or list(
        Path("/sys/class/hwmon").glob("hwmon*/temp*_input")
    ):
        pytest.skip("this machine has sensors")
    assert "has no temperature sensor" in said(capsys, "calibrate", code=exits.UNAVAILABLE)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("5s", "less does not show how slowly a board warms up"),
        ("7h", "the slowest board is warm long before that"),
    ],
)
def test_a_calibration_lasts_its_time(given: str, why: str, capsys: Capture) -> None:
    sentence = f"--for is 4m to 6h, not '{given}': {why}\n"
    assert said(capsys, "calibrate", "--for", given, code=exits.USAGE).endswith(sentence)


@pytest.mark.slow
def test_the_load_of_a_calibration_ends_with_it_even_if_killed(tmp_path: Path) -> None:
    """Nothing of it is left to heat a device that nobody watches."""
    script = tmp_path / "load.py"
    script.write_text(
        "import time\nfrom edgeapp.cli.calibrate import busy_cores\n"
        "with busy_cores() as load:\n    load(1)\n    print('on', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{children[0]}").exists()
