"""Device nodes as systemd sees them: the class that allows one, its group, and who makes the class."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """Devices that are allowed together."""

    name: str
    """As people call them."""
    allow: tuple[str, ...]
    """Values of DeviceAllow=."""
    group: str
    """That may open them, by the rules of the distribution."""
    module: str = ""
    """The kernel's module that makes the class. A class that is not there when the service starts
    stays forbidden, even when the device comes later: so the module is loaded first."""
    own_rule: bool = False
    """Where the distribution has no such group, `systemd/60-edgeapp.rules` gives them to ours."""
    sysfs: bool = False
    """It is set up by files in /sys/devices, which the service else cannot write."""


_CAMERA = DeviceClass("cameras", ("char-video4linux rw", "char-media rw"), "video", "videodev")
_SOUND = DeviceClass("sound", ("char-alsa rw",), "audio", "snd")
_GPIO = DeviceClass("lines", ("char-gpiochip rw",), "gpio", own_rule=True)
_IIO = DeviceClass("sensors", ("char-iio r",), "iio", "industrialio", own_rule=True, sysfs=True)
_USB_SERIAL = DeviceClass("serial lines", ("char-ttyUSB rw",), "dialout", "usbserial")
_USB_MODEM = DeviceClass("serial lines", ("char-ttyACM rw",), "dialout", "cdc_acm")

_KNOWN: tuple[tuple[str, tuple[DeviceClass, ...]], ...] = (
    (r"/dev/(video|media|v4l-subdev)[0-9*]+|/dev/v4l/.*", (_CAMERA,)),
    (r"/dev/snd/.*", (_SOUND,)),
    (r"/dev/gpiochip[0-9*]+", (_GPIO,)),
    (r"/dev/iio:device[0-9*]+", (_IIO,)),
    (r"/dev/ttyUSB[0-9*]+", (_USB_SERIAL,)),
    (r"/dev/ttyACM[0-9*]+", (_USB_MODEM,)),
    (r"/dev/serial/.*", (_USB_SERIAL, _USB_MODEM)),
)
_TTY = re.compile(r"/dev/(tty[A-Za-z]+)[0-9*]+")
_PLAIN = re.compile(r"/dev/[\w.:@+/-]+")


def classes_of(node: str, group_of: Callable[[str], str]) -> tuple[DeviceClass, ...] | None:
    """The classes that a node is of; None: this cannot be the name of one.

    `group_of`: the group of a node that is of no known class; empty: it has none of its own.
    """
    for pattern, classes in _KNOWN:
        if re.fullmatch(pattern, node):
            return classes
    if match := _TTY.fullmatch(node):
        return (DeviceClass("serial lines", (f"char-{match[1]} rw",), "dialout"),)
    if not _PLAIN.fullmatch(node) or ".." in node:
        return None
    return (DeviceClass(node, (f"{node} rw",), group_of(node)),)
