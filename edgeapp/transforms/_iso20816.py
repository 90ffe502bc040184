"""Evaluation zones for the vibration velocity of machines' housings, from the standards."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

Standard = Literal["iso20816-3", "iso10816-3", "iso10816-1"]
Mounting = Literal["rigid", "flexible"]
MachineClass = Literal["I", "II", "III", "IV"]
Zone = Literal["A", "B", "C", "D"]
ZONES: tuple[Zone, ...] = ("A", "B", "C", "D")

EDITIONS: dict[Standard, str] = {
    "iso20816-3": "ISO 20816-3:2022",
    "iso10816-3": "ISO 10816-3:2009",
    "iso10816-1": "ISO 10816-1:1995",
}

_BY_GROUP: dict[tuple[int, Mounting], tuple[float, float, float]] = {
    (1, "rigid"): (2.3, 4.5, 7.1),
    (1, "flexible"): (3.5, 7.1, 11.0),
    (2, "rigid"): (1.4, 2.8, 4.5),
    (2, "flexible"): (2.3, 4.5, 7.1),
}
"""ISO 20816-3:2022, tables A.1 and A.2, and ISO 10816-3:2009, the same for groups 1 and 2."""
_BY_CLASS: dict[MachineClass, tuple[float, float, float]] = {
    "I": (0.71, 1.8, 4.5),
    "II": (1.12, 2.8, 7.1),
    "III": (1.8, 4.5, 11.2),
    "IV": (2.8, 7.1, 18.0),
}
"""ISO 10816-1:1995, annex B."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The boundaries of the zones for one sort of machine."""

    edition: str
    """The standard with its year."""
    machine: str
    """What it calls such machines: "group 2, rigid"."""
    mm_s: tuple[float, float, float]
    """Boundaries A/B, B/C and C/D: velocity in mm/s, root mean square."""

    @classmethod
    def of_group(cls, standard: Standard, group: int, mounting: Mounting) -> "Limits":
        """By part 3: group 1 (above 300 kW) or 2 (15 to 300 kW)."""
        machine = f"group {group}, {mounting}"
        return cls(EDITIONS[standard], machine, _BY_GROUP[group, mounting])

    @classmethod
    def of_class(cls, machine_class: MachineClass) -> "Limits":
        """By ISO 10816-1."""
        return cls(EDITIONS["iso10816-1"], f"class {machine_class}", _BY_CLASS[machine_class])

    def zone(self, mm_s: float) -> Zone:
        """The zone of a velocity; a boundary belongs to the zone above it."""
        return ZONES[bisect_right(self.mm_s, mm_s)]

    def __str__(self) -> str:
        """The boundaries, as "1.4 / 2.8 / 4.5"."""
        return " / ".join(f"{limit:g}" for limit in self.mm_s)
