"""Mains and batteries, as the kernel's power supply class tells of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.values import Signal, names_in, read_whole, read_words

MOST_SUPPLIES = 16
"""That are read."""

JUMP = 0.02
JUMP_PER_S = 0.005
"""A battery whose charge changes by more is doubted for one reading: gauges have their slips."""

_MAINS = frozenset({"Mains", "USB", "Wireless"})
_STORES = frozenset({"Battery", "UPS"})
_CHARGES = frozenset({"Charging", "Full", "Not charging"})
_MICRO = 1e6
_MOST_V = 1000.0
_MOST_A = 1000.0
_MOST_W = 10_000.0
_MOST_AH = 10_000.0
_MOST_WH = 100_000.0


@dataclass(frozen=True, slots=True)
class Supplies:
    """What the supplies say at one moment. None: nobody says."""

    on_ac: bool | None = None
    battery: float | None = None
    """Charge, 0..1."""
    battery_wh: float | None = None
    """Energy left."""
    power_w: float | None = None
    """That the batteries deliver; None while they do not."""


@dataclass(frozen=True, slots=True)
class _Store:
    status: str
    charge: float | None
    left_wh: float | None
    full_wh: float | None
    power_w: float | None


class PowerSupplies:
    """All supplies of the device itself; not the batteries of mice and headsets."""

    def __init__(self, files: Files, sysfs: str) -> None:
        self._files = files
        self._root = f"{sysfs}/class/power_supply"
        self._mains: tuple[str, ...] = ()
        self._stores: tuple[tuple[str, frozenset[str]], ...] = ()
        self._before: tuple[int, float] | None = None

    def probe(self) -> tuple[Signal, ...]:
        """Look which there are."""
        mains, stores = [], []
        for name in names_in(self._files, self._root)[:MOST_SUPPLIES]:
            folder = f"{self._root}/{name}"
            kind = read_words(self._files, f"{folder}/type")
            # Old kernels do not say the scope; drivers of input devices name it so.
            if read_words(self._files, f"{folder}/scope") == "Device" or name.startswith("hid"):
                continue
            if kind in _MAINS and read_whole(self._files, f"{folder}/online", 0, 2) is not None:
                mains.append(folder)
            elif kind in _STORES and read_whole(self._files, f"{folder}/present", 0, 1) != 0:
                stores.append((folder, frozenset(names_in(self._files, folder))))
        self._mains, self._stores = tuple(mains), tuple(stores)
        batteries = ", ".join(folder for folder, _ in stores)
        return (
            Signal("mains", bool(mains or stores), ", ".join(mains) or batteries),
            Signal("battery", bool(stores), batteries),
        )

    def read(self, now_ns: int) -> Supplies:
        """What they say now; `now_ns` is monotonic."""
        if not self._mains and not self._stores:
            return Supplies()
        online = [read_whole(self._files, f"{folder}/online", 0, 2) for folder in self._mains]
        known = [value for value in online if value is not None]
        on_ac = any(known) if known else None
        stores = [self._store(folder, attributes) for folder, attributes in self._stores]
        if on_ac is None and stores:
            if any(store.status == "Discharging" for store in stores):
                on_ac = False
            elif any(store.status in _CHARGES for store in stores):
                on_ac = True
        emptying = [store.power_w for store in stores if store.status == "Discharging"]
        left, full = _sum(s.left_wh for s in stores), _sum(s.full_wh for s in stores)
        battery = left / full if left is not None and full else _mean(s.charge for s in stores)
        if battery is not None:
            battery = min(1.0, battery)
            if self._jumps(now_ns, battery):
                battery = left = None
        return Supplies(on_ac, battery, left, _sum(emptying))

    def _jumps(self, now_ns: int, battery: float) -> bool:
        before, self._before = self._before, (now_ns, battery)
        if before is None:
            return False
        possible = JUMP + JUMP_PER_S * (now_ns - before[0]) / NS
        return abs(battery - before[1]) > possible

    def _store(self, folder: str, attributes: frozenset[str]) -> _Store:
        def amount(name: str, most: float) -> float | None:
            if name not in attributes:
                return None
            limit = int(most * _MICRO)
            # Some drivers count what flows out as negative.
            value = read_whole(self._files, f"{folder}/{name}", -limit, limit)
            return None if value is None else abs(value) / _MICRO

        volts = amount("voltage_now", _MOST_V)

        def either(direct: str, with_volts: str, most: float, most_with: float) -> float | None:
            value = amount(direct, most)
            if value is not None:
                return value
            current = amount(with_volts, most_with)
            product = current * volts if current is not None and volts else None
            return product if product is not None and product <= most else None

        status, percent = "", None
        if "status" in attributes:
            status = read_words(self._files, f"{folder}/status")
        if "capacity" in attributes:
            percent = read_whole(self._files, f"{folder}/capacity", 0, 105)  # 101 when just charged
        return _Store(
            status,
            None if percent is None else min(1.0, percent / 100),
            either("energy_now", "charge_now", _MOST_WH, _MOST_AH),
            either("energy_full", "charge_full", _MOST_WH, _MOST_AH),
            either("power_now", "current_now", _MOST_W, _MOST_A),
        )


def _sum(parts: Iterable[float | None]) -> float | None:
    """Of all; None: one is not known, or there is none."""
    known = list(parts)
    total = 0.0
    for part in known:
        if part is None:
            return None
        total += part
    return total if known else None


def _mean(parts: Iterable[float | None]) -> float | None:
    known = list(parts)
    total = _sum(known)
    return None if total is None else total / len(known)
