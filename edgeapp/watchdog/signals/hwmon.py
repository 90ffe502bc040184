"""Chips that the kernel's hardware monitoring knows, by their names: the numbers change at each boot."""

from dataclasses import dataclass

from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.values import names_in, read_words

MOST_CHIPS = 64
"""That are looked at."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One of `/sys/class/hwmon/hwmon*`."""

    name: str
    """Such as "coretemp"; several chips may have the same one."""
    folder: str
    attributes: frozenset[str]
    """Names of its files."""

    def path(self, attribute: str) -> str:
        """Where an attribute lies."""
        return f"{self.folder}/{attribute}"


def chips_of(files: Files, sysfs: str) -> tuple[Chip, ...]:
    """All chips that have a name, in the order of their numbers."""
    root = f"{sysfs}/class/hwmon"
    chips = []
    for number in names_in(files, root)[:MOST_CHIPS]:
        folder = f"{root}/{number}"
        if name := read_words(files, f"{folder}/name"):
            chips.append(Chip(name, folder, frozenset(names_in(files, folder))))
    return tuple(chips)
