"""The watchdog's part of the device file: what the device can bear, as far as nothing says itself."""

from dataclasses import dataclass

from pydantic import Field

from edgeapp.config.pipeline import Settings
from edgeapp.document.tree import Table
from edgeapp.document.words import did_you_mean
from edgeapp.errors import Complaint
from edgeapp.watchdog.limits import BatteryGoal

_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class WatchdogConfig:
    """What the watchdog is told; None: as the device says, or as is usual."""

    enabled: bool = True
    trip_c: float | None = None
    margin_c: float = 1.5
    board: str | None = None
    """Name of a kind of board in `edgeapp.watchdog.boards`."""
    sensor: str | None = None
    """Name of the temperature sensor of the die."""
    cpu_share: float = 0.9
    cores_without_sensor: float | None = None
    power_w: float | None = None
    battery: BatteryGoal | None = None
    swaps_per_h: float = 20.0


class _Battery(Settings):
    for_h: float = Field(
        gt=0,
        le=8_760,
        description="Hours that the battery must last: from the start, or from the loss of the "
        "mains.",
    )
    reserve: float = Field(
        0.05, ge=0, lt=1, description="Fraction of its capacity that must be left then."
    )
    capacity_wh: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Its capacity in watt-hours; if not given, what the battery says itself.",
    )


class WatchdogFile(Settings):
    """The section `watchdog` of a device file."""

    enabled: bool = Field(
        default=True,
        description="Choose models and rates by heat, power and load; false: always the best.",
    )
    trip_c: float | None = Field(
        None,
        ge=40,
        le=125,
        description="Die temperature at which the hardware slows down, in °C. If not given: the "
        "kernel's passive trip point, else what is usual for the board, else 80.",
    )
    margin_c: float = Field(
        1.5,
        ge=0,
        le=30,
        description="How far below trip_c to stay, in kelvin, beside what the forecast is unsure of.",
    )
    board: str | None = Field(
        None,
        min_length=1,
        description="Kind of board, such as raspberry-pi-4; if not given, what the device calls "
        "itself. It is where learning starts.",
    )
    sensor: str | None = Field(
        None,
        min_length=1,
        description="Name of the temperature sensor of the die, as the log lists them at the start; "
        "if not given, by its name.",
    )
    cpu_share: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Fraction of all cores that all programs may use together.",
    )
    cores_without_sensor: float | None = Field(
        None,
        gt=0,
        le=1024,
        description="Cores that pipelines may use on a device on which no temperature can be read; "
        "no limit but cpu_share if not given.",
    )
    power_w: float | None = Field(
        None, gt=0, le=1e4, description="Electrical power that the device may take, in watts."
    )
    battery: _Battery | None = Field(None, description="How long a battery must last.")
    swaps_per_h: float = Field(
        20.0,
        ge=0.1,
        le=3600,
        description="Changes of model in an hour at which one more must be well worth it.",
    )


def watchdog_config(file: WatchdogFile) -> WatchdogConfig:
    """What the rest of the program works with."""
    battery = file.battery
    goal = None
    if battery is not None:
        goal = BatteryGoal(battery.for_h * _HOUR_S, battery.reserve, battery.capacity_wh)
    return WatchdogConfig(
        enabled=file.enabled,
        trip_c=file.trip_c,
        margin_c=file.margin_c,
        board=file.board,
        sensor=file.sensor,
        cpu_share=file.cpu_share,
        cores_without_sensor=file.cores_without_sensor,
        power_w=file.power_w,
        battery=goal,
        swaps_per_h=file.swaps_per_h,
    )


def check_board(section: Table, file: WatchdogFile, found: list[Complaint]) -> None:
    """Complain about a kind of board that nobody knows."""
    given = section.get("board")
    if given is None or file.board is None:
        return
    from edgeapp.watchdog.boards import BOARDS

    names = [prior.board for prior in BOARDS]
    if file.board not in names:
        remedy = did_you_mean(file.board, names, heading="Boards")
        problem = f"watchdog.board: there is no board '{file.board}'"
        found.append(Complaint(given.value.place, problem, remedy))
