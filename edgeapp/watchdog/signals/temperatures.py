"""The temperature sensors of a device, from thermal zones and hardware monitoring, by their names.

`psutil` is not asked: it looks at thermal zones only where hardware monitoring has no temperature at
all, so that a clock chip with a thermometer hides the processor; and it has no trip points.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.hwmon import Chip
from edgeapp.watchdog.signals.thermometer import Thermometer
from edgeapp.watchdog.signals.values import Signal, in_order, names_in, read_whole, read_words
from edgeapp.watchdog.tick import SensorKind, SensorReading

MOST_ZONES = 256
"""Thermal zones that are looked at."""
MOST_SENSORS = 32
"""That are read; of the die first, then of the board."""
_DIE = re.compile(
    r"cpu|^soc|x86-pkg-temp|^tj-|^package|coretemp|k8temp|k10temp|zenpower|core\d*-thermal"
    r"|^b0d4$|^bcm2835|^imx.*thermal|tsens-tz|^main\d*-thermal|^mpu-|^pkg-temp"
)
"""Processors, and the chip that they are part of. Graphics, memory and radio have zones of their own,
which follow other work than ours."""
_NOT_DIE = re.compile(r"gpu|pmic|batt|charg|modem|wlan|wifi|fan|virtual|skin")
_BOARD = re.compile(
    r"acpitz|^pch|board|ambient|skin|chassis|case|^rp1|systin|^lm75|^tmp1\d\d|jc42|thermistor"
)
_TRIPS_MC = (45_000, 115_000)
"""Trip points beyond are placeholders."""
_SLOW_DOWN_AT_CRIT = frozenset({"coretemp", "k10temp"})
"""Their critical temperature is where the processor slows itself down."""
_NO_TRIP = "nobody says at which temperature it is slowed down"
_NO_DIE = "only the time that models take can tell of heat"
_LEFT_ALONE = {
    "w1_slave_temp": "each reading takes 0.75 s",
    "drivetemp": "reading it keeps disks awake",
}
_SENSOR = re.compile(r"temp([0-9]{1,3})_input")
_TRIP = re.compile(r"trip_point_([0-9]{1,2})_type")
_PREFERRED = (re.compile(r"Package id \d+"), re.compile("Tdie"), re.compile("Tctl"))
"""Of a processor with a sensor for each core: the one that stands for all."""


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    kind: SensorKind
    path: str
    trip_c: float | None = None


class Temperatures:
    """All temperature sensors. `probe` first, and again from time to time; one thread.

    A sensor of the die or the board that was there once stays in the readings as "missing".
    """

    def __init__(self, files: Files, sysfs: str) -> None:
        self.trip_c: float | None = None
        """The lowest at which kernel or processor begin to slow the die down; None: nobody says. On a
        Raspberry Pi the firmware does so earlier, and does not say where."""
        self._files = files
        self._zones = f"{sysfs}/class/thermal"
        self._sensors: dict[str, Thermometer] = {}

    def read(self, now_ns: Callable[[], int]) -> tuple[SensorReading, ...]:
        """What each sensor says, those of the die first. Never raises."""
        return tuple([sensor.read(self._files, now_ns) for sensor in self._sensors.values()])

    def probe(self, chips: Sequence[Chip]) -> tuple[Signal, ...]:
        """Look which sensors there are."""
        alone = [chip.name for chip in chips if chip.name in _LEFT_ALONE]
        found = list(self._find(chips))
        found.sort(key=lambda each: ("die", "board", "other").index(each.kind))
        left_out = len(found) - MOST_SENSORS
        here = {each.name: each for each in found[:MOST_SENSORS]}
        lost = [s for s in self._sensors.values() if s.name not in here and s.kind != "other"]
        known, self._sensors = self._sensors, {}
        for name, each in here.items():
            sensor = known.get(name) or Thermometer(name, each.kind, each.path)
            sensor.path = each.path
            self._sensors[name] = sensor
        for sensor in lost[: MOST_SENSORS - len(here)]:
            sensor.path = None
            self._sensors[sensor.name] = sensor
        self.trip_c = min((each.trip_c for each in found if each.trip_c), default=self.trip_c)
        notes = [f"{name} is left alone: {_LEFT_ALONE[name]}" for name in dict.fromkeys(alone)]
        if left_out > 0:
            notes.append(f"{left_out} more are not read")
        trip = f"it is slowed down at {self.trip_c:g} °C" if self.trip_c else ""
        return (
            _signal("die temperature", "die", here, trip or _NO_TRIP, _NO_DIE),
            _signal("board temperature", "board", here, ""),
            _signal("other temperatures", "other", here, "; ".join(notes), "; ".join(notes)),
        )

    def _find(self, chips: Sequence[Chip]) -> Iterator[_Found]:
        given: dict[str, int] = {}
        zone_types = set()
        numbers = [n for n in names_in(self._files, self._zones) if n.startswith("thermal_zone")]
        for number in numbers[:MOST_ZONES]:
            folder = f"{self._zones}/{number}"
            what = read_words(self._files, f"{folder}/type") or number
            zone_types.add(_plain(what))
            kind = kind_of(what)
            trip_c = self._trip(folder) if kind == "die" else None
            yield _Found(_unique(what, given), kind, f"{folder}/temp", trip_c)
        for chip in chips:
            # The kernel shows most thermal zones a second time as a chip of that name.
            if chip.name not in _LEFT_ALONE and _plain(chip.name) not in zone_types:
                yield from self._on_chip(chip, given)

    def _on_chip(self, chip: Chip, given: dict[str, int]) -> Iterator[_Found]:
        labels = {}
        for attribute in in_order(chip.attributes):
            if match := _SENSOR.fullmatch(attribute):
                label = ""
                if f"temp{match[1]}_label" in chip.attributes:
                    label = read_words(self._files, chip.path(f"temp{match[1]}_label"))
                labels[attribute] = label or f"temp{match[1]}"
        for preferred in _PREFERRED:
            if standing := {a: label for a, label in labels.items() if preferred.fullmatch(label)}:
                labels = standing
                break
        kind = kind_of(chip.name)
        for attribute, label in labels.items():
            name = _unique(f"hwmon:{chip.name}/{label}", given)
            trip_c = None
            if chip.name in _SLOW_DOWN_AT_CRIT:
                trip_c = self._limit(chip.path(attribute.replace("_input", "_crit")))
            yield _Found(name, kind, chip.path(attribute), trip_c)

    def _limit(self, path: str) -> float | None:
        value = read_whole(self._files, path, *_TRIPS_MC)
        return None if value is None else value / 1000

    def _trip(self, zone: str) -> float | None:
        """Where the kernel begins to act; a critical trip point is where it switches off."""
        passive: list[float] = []
        hot: list[float] = []
        for name in names_in(self._files, zone):
            if match := _TRIP.fullmatch(name):
                kind = read_words(self._files, f"{zone}/{name}")
                trip_c = self._limit(f"{zone}/trip_point_{match[1]}_temp")
                if trip_c is not None and kind in {"passive", "hot"}:
                    (passive if kind == "passive" else hot).append(trip_c)
        if passive and read_words(self._files, f"{zone}/policy") == "power_allocator":
            return max(passive)  # the lower one only switches its control loop on
        return min(passive or hot, default=None)


def kind_of(name: str) -> SensorKind:
    """What a thermal zone's type or a chip's name says of where the sensor sits."""
    plain = _plain(name)
    if _DIE.search(plain) and not _NOT_DIE.search(plain):
        return "die"
    return "board" if _BOARD.search(plain) else "other"


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _unique(name: str, given: dict[str, int]) -> str:
    given[name] = count = given.get(name, 0) + 1
    return name if count == 1 else f"{name}#{count}"


def _signal(
    name: str, kind: SensorKind, here: dict[str, _Found], note: str, missing: str = ""
) -> Signal:
    names = [each.name for each in here.values() if each.kind == kind]
    return Signal(name, bool(names), ", ".join(names), note if names else missing)
