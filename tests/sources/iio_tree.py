"""A tree as the Linux IIO subsystem shows a sensor, with a FIFO in place of its node."""

import os
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self


class IioTree:
    """One sensor below `root`. What is written to its node is what the kernel's buffer holds."""

    def __init__(self, root: Path, *, name: str = "adxl345", number: int = 0) -> None:
        self.root = root
        self.folder = root / f"sys/bus/iio/devices/iio:device{number}"
        self.node = root / f"dev/iio:device{number}"
        self.folder.mkdir(parents=True)
        self.node.parent.mkdir(exist_ok=True)
        self.put("name", name)
        self._fd: int | None = None

    def put(self, attribute: str, text: object) -> None:
        file = self.folder / attribute
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def get(self, attribute: str) -> str:
        return (self.folder / attribute).read_text().strip()

    def buffered(
        self,
        types: Sequence[tuple[str, str]],
        *,
        rate_hz: float = 100,
        scan: str = "scan_elements",
        buffer: str = "buffer",
    ) -> None:
        """Scan elements by name and type, in the order of their indices."""
        for index, (name, text) in enumerate(types):
            self.put(f"{scan}/in_{name}_en", 0)
            self.put(f"{scan}/in_{name}_index", index)
            self.put(f"{scan}/in_{name}_type", text)
        for attribute, value in (("enable", 0), ("length", 2), ("watermark", 1)):
            self.put(f"{buffer}/{attribute}", value)
        self.put("sampling_frequency", rate_hz)
        os.mkfifo(self.node)
        self._fd = os.open(self.node, os.O_RDWR | os.O_NONBLOCK)

    def send(self, *frames: bytes) -> None:
        assert self._fd is not None
        data = b"".join(frames)
        assert os.write(self._fd, data) == len(data), "more than a FIFO holds"

    def pour(self, data: bytes) -> None:
        """Send more than a FIFO holds, as fast as it is read; until it is closed."""
        while data and self._fd is not None:
            try:
                data = data[os.write(self._fd, data[:4096]) :]
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                return

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.close()


XYZ = [
    ("accel_x", "le:s16/16>>0"),
    ("accel_y", "le:s16/16>>0"),
    ("accel_z", "le:s16/16>>0"),
    ("timestamp", "le:s64/64>>0"),
]


def xyz(x: int, time_ns: int) -> bytes:
    """A frame of `XYZ`: y is -x, z is 1."""
    return struct.pack("<hhhxxq", x, -x, 1, time_ns)
