"""A recording becomes a device that warms up as the recorded one did."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeapp.simulation.fitted import fitted, plant_of
from edgeapp.simulation.plant import Plant
from edgeapp.simulation.record import Recorder
from edgeapp.simulation.scenarios import soc_sensor
from edgeapp.simulation.spec import Inputs, PlantSpec
from edgeapp.simulation.trace import Trace, read_trace, write_trace
from edgeapp.watchdog.fit import FitError
from edgeapp.watchdog.limits import Prior
from tests.simulation.bench_device import PLANT, BenchDevice

COURSE = ((180, 0.0), (300, 1.0), (420, 3.8), (300, 0.1))


def recording(device: BenchDevice, *loads: tuple[float, float], own: float = 0.0) -> Trace:
    recorder = Recorder(device.clock, lambda: own, name="porch", cores=4, files=device.files)
    for _ in device.course(*loads):
        recorder.tick()
    return recorder.trace()


@pytest.fixture(scope="module")
def trace() -> Trace:
    return recording(BenchDevice(ambient_c=10.0), *COURSE)


def settled(plant: PlantSpec, busy: float, after_s: int, ambient_c: float = 10.0) -> float:
    """Die temperature of a plant after a constant load."""
    simulated = Plant(plant)
    inputs = Inputs(ambient_c=((0.0, ambient_c),))
    for _ in range(after_s):
        simulated.step(1.0, busy, inputs)
    return simulated.nodes_c[0]


@pytest.mark.parametrize("busy", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("after_s", [20, 200, 1500])
def test_a_fitted_device_is_as_warm_as_the_recorded_one(
    trace: Trace, busy: float, after_s: int
) -> None:
    """Soon after a change of load, later, and at last; with loads that were not recorded, too."""
    made = fitted(trace, 4, ambient_c=10.0)
    assert made.trace.plant is not None
    begin_c = 40.0
    true_c = settled(replace(PLANT, start_c=begin_c), busy, after_s)
    assert settled(replace(made.trace.plant, start_c=begin_c), busy, after_s) == pytest.approx(
        true_c, abs=1.6
    )


def test_what_was_made_can_be_written_and_simulated(trace: Trace, tmp_path: Path) -> None:
    made = fitted(trace, 4).trace
    write_trace(tmp_path / "plant.json", made)
    again = read_trace(tmp_path / "plant.json")
    assert again == made
    assert again.closed
    assert again.prior is not None
    assert again.limits is not None
    assert again.limits.cores == 4


def test_the_load_of_others_happens_to_the_fitted_device_and_ours_does_not() -> None:
    made = fitted(recording(BenchDevice(), *COURSE, own=0.5), 4)
    foreign = made.trace.inputs
    assert foreign.at("foreign_cores", 400.0) == pytest.approx(0.5, abs=0.06)
    assert foreign.at("foreign_cores", 700.0) == pytest.approx(3.3, abs=0.06)
    assert foreign.at("foreign_cores", 100.0) == 0.0


def test_a_prior_and_the_plant_made_of_it_are_equally_warm() -> None:
    """For each load, when all has settled: ambient + idle + what each core adds."""
    prior = Prior("x", idle_k=20.0, board_k_per_core=8.0, die_k_per_core=3.0, core_w=1.5)
    plant = plant_of(prior, 4, 80.0, start_c=40.0)
    for busy in (0.0, 1.0, 2.0):
        assert settled(plant, busy, 4000, 25.0) == pytest.approx(25 + 20 + 11 * busy, abs=0.1)


def test_the_sensor_of_the_die_is_taken_though_another_one_is_hotter() -> None:
    hot = {"class/thermal/thermal_zone9/type": "gpu-thermal\n"}
    device = BenchDevice(sensors=(soc_sensor(),))
    for path, content in hot.items():
        device.files[f"/sys/{path}"] = content
    device.files["/sys/class/thermal/thermal_zone9/temp"] = "99000\n"
    assert fitted(recording(device, *COURSE), 4).sensor == "cpu-thermal"


def test_a_recording_that_teaches_nothing_is_a_sentence() -> None:
    with pytest.raises(FitError, match="no temperature was recorded"):
        fitted(recording(BenchDevice(sensors=()), (300, 1.0)), 4)
    with pytest.raises(FitError, match="the load hardly changes"):
        fitted(recording(BenchDevice(), (300, 1.0)), 4)
