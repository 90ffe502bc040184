"""A simulated device as files: the real readers see in them what is true of it."""

import errno
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import process_time

import pytest

from edgeapp.simulation.scenarios import cool_idle, soc_sensor
from edgeapp.simulation.senses import Senses
from edgeapp.simulation.spec import DeviceState, Fault, Inputs, Scenario, SensorSpec
from edgeapp.simulation.trace import Trace
from edgeapp.simulation.trace_samples import Samples
from edgeapp.simulation.tree import RecordedSenses, TreeSenses

PATH = "class/thermal/thermal_zone0/temp"
HWMON = "class/hwmon/hwmon3/temp1_input"
ALL = ("clock", "throttled", "undervoltage", "power", "pressure", "memory")


def device(*sensors: SensorSpec, tells: tuple[str, ...] = ALL) -> Scenario:
    made = cool_idle(1)
    plant = replace(made.plant, tells=tells, battery_wh=20.0)  # type: ignore[arg-type]  # of ALL
    inputs = Inputs(on_ac=((0.0, 1.0),))
    return replace(made, plant=plant, inputs=inputs, sensors=sensors or (soc_sensor(),))


def state(t_s: float, die_c: float = 54.0, **changes: float) -> DeviceState:
    made = DeviceState(
        t_s,
        {"die": die_c, "board": 50.0, "case": 40.0},
        clock_ratio=0.667,
        throttle_step=1,
        power_w=5.0,
        busy_cores=2.34,
        own_cores=1.0,
        ambient_c=25.0,
        cpu_pressure=0.12,
        undervoltage=True,
        on_ac=False,
        battery_wh=15.0,
        memory_available_mb=1500.0,
        memory_pressure=0.03,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # numbers


def plain(spec: SensorSpec, *faults: Fault) -> SensorSpec:
    return replace(spec, noise_c=0.0, lsb_c=0.001, faults=faults)


def test_the_readers_see_in_the_files_what_is_told_without_them() -> None:
    """Tick for tick the same as a device without files between, for every signal."""
    scenario = device()
    files, told = TreeSenses(scenario), Senses(scenario)
    for t_s in range(60):
        now = state(float(t_s), 54.0 + t_s / 10, cpu_pressure=t_s / 100)
        through, straight = files.read(now), told.read(now)
        if t_s:  # a load is known from the second tick on
            assert through.busy_cores == pytest.approx(straight.busy_cores, abs=0.02)
        assert through.sensors[0].value_c == pytest.approx(straight.sensors[0].value_c, abs=6e-4)
        assert through.memory_available_mb == pytest.approx(1500.0, abs=0.001)
        for name in ("clock_ratio", "power_w", "cpu_pressure", "memory_pressure", "battery"):
            assert getattr(through, name) == pytest.approx(getattr(straight, name), abs=1e-4)
        for name in ("undervoltage", "throttled", "on_ac"):
            assert getattr(through, name) == getattr(straight, name)


def test_what_a_device_does_not_tell_has_no_files() -> None:
    reading = TreeSenses(device(tells=())).read(state(0.0))
    assert reading.clock_ratio is None
    assert reading.throttled is None
    assert reading.power_w == 5.0  # by the battery
    assert reading.memory_available_mb is None


def test_a_clock_that_lies_shows_the_one_asked_for() -> None:
    honest = device()
    lying = replace(honest, plant=replace(honest.plant, clock_lies=True))
    assert TreeSenses(honest).read(state(0.0)).clock_ratio == pytest.approx(0.667)
    assert TreeSenses(lying).read(state(0.0)).clock_ratio == 1.0


def after_fault(kind: str, value: float = 0.0) -> tuple[float | None, str, str]:
    """What the sensor says during a fault of it: value, problem, and its file."""
    fault = Fault(10.0, 20.0, kind, value)  # type: ignore[arg-type]  # of the six
    senses = TreeSenses(device(plain(soc_sensor(), fault)))
    for t_s in range(12):
        sensor = senses.read(state(float(t_s), 50.0 + t_s)).sensors[0]
    try:
        content = senses.files.read(f"/sys/{PATH}").decode()
    except OSError as error:
        content = errno.errorcode[error.errno or 0]
    return sensor.value_c, sensor.problem, content


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda: after_fault("freeze"), (59.0, "", "59000\n")),
        (lambda: after_fault("missing"), (None, "missing", "ENOENT")),
        (lambda: after_fault("eio", 1.0), (None, "error", "EIO")),
        (lambda: after_fault("const", -89.7), (None, "range", "-89700\n")),
        (lambda: after_fault("offset", 15.0), (76.0, "", "76000\n")),
    ],
    ids=["freeze", "missing", "eio", "const", "offset"],
)
def test_each_fault_is_seen_through_the_files(
    fault: Callable[[], tuple[float | None, str, str]], told: tuple[float | None, str, str]
) -> None:
    assert fault() == told


def test_noise_is_seen_through_the_files() -> None:
    senses = TreeSenses(device(plain(soc_sensor(), Fault(0.0, 99.0, "noise", 2.0))))
    told = [senses.read(state(float(t_s))).sensors[0].value_c or 0.0 for t_s in range(60)]
    assert len(set(told)) == 60
    assert 1.0 < max(told) - min(told) < 16.0


def test_a_sensor_comes_back_after_its_file_was_gone() -> None:
    senses = TreeSenses(device(plain(soc_sensor(), Fault(10.0, 20.0, "missing"))))
    told = [senses.read(state(float(t_s))).sensors[0].problem for t_s in range(32)]
    assert told[:10] == [""] * 10
    assert set(told[10:20]) == {"missing"}
    assert told[-1] == ""


def test_degrees_and_a_chip_are_understood() -> None:
    chip = plain(replace(soc_sensor(), path=HWMON, type="coretemp"))
    degrees = replace(plain(soc_sensor()), unit="C")
    told = TreeSenses(device(chip, degrees)).read(state(0.0, 48.25)).sensors
    assert [one.kind for one in told] == ["die", "die"]
    assert [one.value_c for one in told] == [48.25, 48.25]


def test_static_files_are_there_too() -> None:
    """A trip point, and a clock chip that must not hide the processor."""
    static = {
        "class/hwmon/hwmon0/name": "rtc\n",
        "class/hwmon/hwmon0/temp1_input": "31000\n",
        "class/thermal/thermal_zone0/trip_point_0_type": "passive\n",
        "class/thermal/thermal_zone0/trip_point_0_temp": "75000\n",
    }
    told = TreeSenses(device(plain(soc_sensor())), static).read(state(0.0)).sensors
    assert [(one.name, one.kind, one.value_c) for one in told] == [
        ("cpu-thermal", "die", 54.0),
        ("hwmon:rtc/temp1", "other", 31.0),
    ]


def test_a_recording_shows_its_files_and_loads_again() -> None:
    columns = ("t", PATH, "class/power_supply/AC/online", "total_cpu", "cpu_pressure")
    rows = (
        (0, 48200, 1, 1.0, 0.1),
        (1, 48700, 1, 3.0, 0.2),
        (2, None, 0, 2.0, 0.3),
        (3, 49200, 0, 2.0, 0.4),
    )
    static = {
        "class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "class/power_supply/AC/type": "Mains\n",
    }
    senses = RecordedSenses(Trace("x", samples=Samples(columns, rows), static_files=static), 4)
    told = [senses.read(float(t_s)) for t_s in range(4)]
    assert [one.sensors[0].value_c for one in told] == [48.2, 48.7, None, 49.2]
    assert told[2].sensors[0].problem == "error"
    assert [one.on_ac for one in told] == [True, True, False, False]
    assert [one.busy_cores for one in told] == [None, 3.0, 2.0, 2.0]
    assert [one.cpu_pressure for one in told] == [0.1, 0.2, 0.3, 0.4]


def test_a_fault_can_be_put_upon_a_recording() -> None:
    samples = Samples(("t", PATH), ((0, 48200), (1, 48700), (2, 49200)))
    spec = replace(soc_sensor(), faults=(Fault(1.0, 9.0, "const", 12.5),))
    senses = RecordedSenses(Trace("x", samples=samples, sensors=(spec,)), 4)
    told = [senses.read(float(t_s)).sensors[0] for t_s in range(3)]
    assert [one.value_c for one in told] == [48.2, 12.5, 12.5]


def test_showing_a_tick_costs_less_than_reading_it() -> None:
    """Else the files would make simulations slow: a fifth of the readers' own time, about."""
    senses = TreeSenses(device())
    senses.read(state(0.0))
    shown, read = [], []
    t_s = 0.0
    for _ in range(9):
        began = process_time()
        for _ in range(200):
            t_s += 1.0
            senses.show(state(t_s))
        middle = process_time()
        for _ in range(200):
            t_s += 1.0
            senses.read(state(t_s))
        shown.append(middle - began)
        read.append(process_time() - middle)
    assert median(shown) < median(read)
