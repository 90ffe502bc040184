"""What the Linux IIO subsystem says of a device in sysfs, and setting it there."""

import errno
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeapp.api import Unavailable

_RATES = (
    "sampling_frequency",
    "in_accel_sampling_frequency",
    "in_voltage_sampling_frequency",
)
_UNITS = {
    "accel": "m/s²",
    "anglvel": "rad/s",
    "current": "mA",
    "pressure": "kPa",
    "temp": "m°C",
    "voltage": "mV",
}
"""What (raw + offset) * scale is in, by kind of channel (Documentation/ABI/testing/sysfs-bus-iio)."""
_LEAST_HZ, _MOST_HZ = 1e-3, 1e8
"""What a driver that is well can say; 0 and nan are said by such as are not."""
_CLOSE = 1e-3
"""Rates that differ by less are the same: sysfs shows six digits."""


def unit_of(channel: str) -> str:
    """The unit of the kernel's channel ("accel_x", "voltage0") once scaled."""
    return _UNITS.get(re.split(r"[_\d]", channel, maxsplit=1)[0], "1")


def names_of(channels: Iterable[str]) -> dict[str, str]:
    """What users call the kernel's channels: "x" for "accel_x", the kernel's name for others."""
    return {
        name.removeprefix("accel_") if name[:6] == "accel_" else name: name for name in channels
    }


@dataclass(frozen=True, slots=True)
class Rates:
    """The sampling rates that a device offers."""

    listed: tuple[float, ...]
    """Each of them; or the least and the greatest where `stepped`."""
    stepped: bool

    def offers(self, rate_hz: float) -> bool:
        """Whether it can sample at this rate."""
        if self.stepped:
            return self.listed[0] * (1 - _CLOSE) <= rate_hz <= self.listed[1] * (1 + _CLOSE)
        return any(same_rate(rate_hz, one) for one in self.listed)

    def __str__(self) -> str:
        """Such as "100, 200 or 400 Hz"."""
        if self.stepped:
            return f"{self.listed[0]:g} to {self.listed[1]:g} Hz"
        *first, last = [f"{rate:g}" for rate in self.listed]
        return f"{', '.join(first)} or {last} Hz" if first else f"{last} Hz"


def same_rate(one: float, other: float) -> bool:
    """Whether two rates differ by no more than how they are written."""
    return abs(one - other) <= _CLOSE * other


@dataclass(frozen=True, slots=True)
class IioDevice:
    """A device's folder in sysfs and its node."""

    name: str
    """As users name it in complaints."""
    folder: Path
    node: Path

    @classmethod
    def find(cls, wanted: str, root: Path) -> "IioDevice":
        """The device called so (its `name` or `label`), or with that number ("device0").

        `root`: the folder that holds `sys` and `dev`.

        Raises:
            Unavailable: there is none, or more than one.
        """
        devices = root / "sys/bus/iio/devices"
        there = sorted(devices.glob("iio:device*"))
        called = [
            folder
            for folder in there
            if wanted in {folder.name, folder.name.removeprefix("iio:")}
            or wanted in {_text(folder / "name"), _text(folder / "label")}
        ]
        if len(called) == 1:
            return cls(f"iio:{wanted}", called[0], root / "dev" / called[0].name)
        if called:
            names = ", ".join(folder.name.removeprefix("iio:") for folder in called)
            raise Unavailable(f"several IIO devices are called '{wanted}': use one of {names}")
        others = ", ".join(f"{_text(f / 'name')} ({f.name.removeprefix('iio:')})" for f in there)
        raise Unavailable(f"there is no IIO device '{wanted}'; there are: {others or 'none'}")

    # -- attributes -------------------------------------------------------------------------

    def read(self, name: str) -> str | None:
        """The text of an attribute; None where there is none."""
        return _text(self.folder / name)

    def write(self, name: str, text: str) -> None:
        """Set an attribute.

        Raises:
            Unavailable: the kernel refuses; says why.
        """
        try:
            (self.folder / name).write_text(text)
        except OSError as error:
            hint = ""
            if error.errno == errno.EBUSY:
                hint = "; another program uses the device"
            elif error.errno in {errno.EACCES, errno.EPERM}:
                hint = "; give the service's user the right to write there, by a udev rule"
            raise Unavailable(
                f"cannot set {name} of {self.name} to {text}: {os.strerror(error.errno or 0)}{hint}"
            ) from None

    def number(self, channel: str, what: str, default: float) -> float:
        """The scale or offset of a channel: its own, or that of all of its kind.

        Raises:
            Unavailable: it is there, and no number.
        """
        kind = re.split(r"[_\d]", channel, maxsplit=1)[0]
        for name in (f"in_{channel}_{what}", f"in_{kind}_{what}"):
            text = self.read(name)
            if text is None:
                continue
            number = _number(text)
            if math.isfinite(number):
                return number
            raise Unavailable(f"{self.name} says {text[:40]!r} for {name}, which is no number")
        return default

    # -- parts ------------------------------------------------------------------------------

    @property
    def scan(self) -> str | None:
        """The folder of the scan elements; None for a device without a buffer."""
        for name in ("scan_elements", "buffer0"):
            if any((self.folder / name).glob("in_*_en")):
                return name
        return None

    @property
    def buffer(self) -> str:
        """The folder of the buffer's own settings."""
        return "buffer" if (self.folder / "buffer").is_dir() else "buffer0"

    def polled(self) -> tuple[str, ...]:
        """Channels that can be read one by one."""
        files = sorted(self.folder.glob("in_*_raw"))
        return tuple(file.name.removeprefix("in_").removesuffix("_raw") for file in files)

    # -- rate -------------------------------------------------------------------------------

    def rates(self) -> Rates | None:
        """The rates it offers; None where it does not say."""
        attribute = self._rate_attribute()
        text = None if attribute is None else self.read(f"{attribute}_available")
        numbers = tuple(_number(word) for word in (text or "").strip(" []").split())
        if not numbers or not all(_LEAST_HZ <= number <= _MOST_HZ for number in numbers):
            return None
        if "[" in (text or ""):
            return Rates((numbers[0], numbers[-1]), stepped=True)
        return Rates(tuple(sorted(numbers)), stepped=False)

    def set_rate(self, rate_hz: float | None) -> float:
        """Make it sample at this rate; returns the real one. None leaves it as it is.

        Raises:
            Unavailable: it cannot; offers what it can.
        """
        attribute = self._rate_attribute()
        if attribute is None:
            if rate_hz is None:
                raise Unavailable(f"{self.name} does not say how fast it samples: give rate_hz")
            return rate_hz
        if rate_hz is not None:
            rates = self.rates()
            if rates is not None and not rates.offers(rate_hz):
                raise Unavailable(f"{self.name} cannot sample at {rate_hz:g} Hz, but at {rates}")
            self.write(attribute, f"{rate_hz:g}" if rate_hz < 1e6 else str(int(rate_hz)))  # noqa: PLR2004
        real_hz = _number(self.read(attribute) or "")
        if not _LEAST_HZ <= real_hz <= _MOST_HZ:
            raise Unavailable(f"{self.name} does not say how fast it samples ({attribute})")
        return real_hz

    def _rate_attribute(self) -> str | None:
        return next((name for name in _RATES if (self.folder / name).exists()), None)

    # -- trigger ----------------------------------------------------------------------------

    def take_own_trigger(self) -> None:
        """Let the device's own data-ready signal trigger the buffer, unless a trigger is set.

        Devices with a FIFO of their own need none, and some have none.
        """
        if self.read("trigger/current_trigger") != "":
            return
        number = self.folder.name.removeprefix("iio:device")
        own = f"{self.read('name')}-dev{number}"
        triggers = self.folder.parent.glob("trigger*")
        if own in {_text(trigger / "name") for trigger in triggers}:
            self.write("trigger/current_trigger", own)


def _text(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(text: str) -> float:
    """What a text says; NaN where it is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
