"""What must hold, and what is believed of a device before it was observed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatteryGoal:
    """Be alive until then."""

    for_s: float
    """So long from the start, or from the loss of the mains, on."""
    reserve: float = 0.05
    """Fraction of the full capacity that must be left at the end."""
    capacity_wh: float | None = None
    """Of the full battery; None: as the battery itself says."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What must hold."""

    cores: int
    """Of the device."""
    trip_c: float = 80.0
    """Die temperature at which the hardware begins to slow down."""
    margin_c: float = 1.5
    """Kept below `trip_c`, on top of the uncertainty of the forecast."""
    cpu_share: float = 0.9
    """Of all cores, what we and all others may use together."""
    cores_without_sensor: float | None = None
    """Cores that we may use where no temperature can be read; None: `cpu_share` alone holds."""
    power_w: float | None = None
    """Electrical power that the device may take."""
    battery: BatteryGoal | None = None
    memory_reserve_mb: float = 64.0
    """Of the memory that the kernel calls available, what must stay so, in MB of 10^6 bytes."""
    swaps_per_h: float = 20.0
    """Model swaps at which the price of one more has become steep; never a hard stop."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a device's heat and power; it may be wrong by 30 % and more.

    Die and board are two nodes: the board settles at `ambient_c + idle_k + board_k_per_core * u`
    for `u` busy cores (full clock), and the die lies `die_k_per_core * u` above it.
    """

    board: str
    """Name of the kind of board, such as "raspberry-pi-4"."""
    trip_c: float = 80.0
    idle_k: float = 28.0
    """What the idle device is above its surroundings, in kelvin."""
    board_k_per_core: float = 11.0
    board_tau_s: float = 230.0
    die_k_per_core: float = 2.7
    die_tau_s: float = 6.0
    idle_w: float = 2.1
    core_w: float = 1.07
    ambient_c: float = 25.0
    """A first guess; learned at once."""
