"""Calibrating: a load in steps, that ends where it gets too hot, and what is learned of it."""

from dataclasses import replace

import pytest

from edgeapp.simulation.calibration import Calibration, Ended, die_sensor
from edgeapp.simulation.scenarios import soc_sensor
from edgeapp.simulation.spec import Fault
from edgeapp.watchdog.fit import FitError
from edgeapp.watchdog.limits import Prior
from tests.simulation.bench_device import PLANT, BenchDevice


class Run:
    """A calibration of a device that is only physics."""

    def __init__(self, device: BenchDevice, *, trip_c: float = 80.0, for_s: float = 600.0) -> None:
        self.device = device
        self.hottest_c = -273.0
        self.loads: list[int] = []
        sensor = die_sensor(device.readings.read())
        assert sensor is not None
        self.calibration = Calibration(
            self.load, cores=4, trip_c=trip_c, for_s=for_s, sensor=sensor.name
        )
        while self.calibration.tick(device.plant.t_s, device.readings.read()) is not None:
            device.second()
            self.hottest_c = max(self.hottest_c, device.die_c)

    def load(self, cores: int) -> None:
        self.loads.append(cores)
        self.device.busy = float(cores)


def test_a_cool_device_is_loaded_in_steps_and_learned() -> None:
    """In ten minutes, to a tenth: what each core adds, how fast, and how warm it is when idle."""
    run = Run(BenchDevice(ambient_c=5.0, plant=replace(PLANT, start_c=5.0 + 13 * 2.1)))
    assert run.loads == [1, 4, 0]
    assert run.calibration.ended is Ended.NOT
    found = run.calibration.fit(Prior("x")).prior
    assert found.board_k_per_core == pytest.approx(10.5 * 1.07, rel=0.1)
    assert found.board_tau_s == pytest.approx(230.0, rel=0.25)
    assert found.die_k_per_core == pytest.approx(2.5 * 1.07, rel=0.2)
    assert found.ambient_c + found.idle_k == pytest.approx(5.0 + 13 * 2.1, abs=1.5)


def test_a_hot_device_is_spared_and_still_learned() -> None:
    """The load ends 5 K below the trip for good; a second more of heat is all that comes."""
    run = Run(BenchDevice(ambient_c=35.0, plant=replace(PLANT, start_c=60.0)))
    assert run.calibration.ended is Ended.HOT
    assert run.loads == [1, 4, 0]
    assert run.hottest_c < 77.0
    found = run.calibration.fit(Prior("x")).prior
    assert found.board_k_per_core == pytest.approx(10.5 * 1.07, rel=0.3)


def test_a_device_that_is_too_hot_already_is_not_loaded() -> None:
    run = Run(BenchDevice(ambient_c=60.0, plant=replace(PLANT, start_c=78.0)))
    assert run.loads == []
    with pytest.raises(FitError):
        run.calibration.fit(Prior("x"))


def test_a_sensor_that_dies_ends_it() -> None:
    """A load that nobody watches the heat of is not gone on with."""
    sensor = soc_sensor(Fault(200.0, 9999.0, "eio", 1.0))
    run = Run(BenchDevice(sensors=(sensor,), ambient_c=5.0))
    assert run.calibration.ended is Ended.BLIND
    assert run.loads[-1] == 0
    assert run.device.plant.t_s < 220.0


def test_too_little_voltage_ends_the_load() -> None:
    device = BenchDevice(ambient_c=5.0)
    device.files["/sys/class/hwmon/hwmon7/name"] = "rpi_volt\n"
    device.files["/sys/class/hwmon/hwmon7/in0_lcrit_alarm"] = "1\n"
    device.clock.advance(61.0)
    device.readings.read()
    run = Run(device)
    assert run.calibration.ended is Ended.UNDERVOLTAGE
    assert run.loads == []
