"""What data sheets say of accelerometers that Linux has drivers for."""

from collections.abc import Mapping
from typing import NamedTuple


class Known(NamedTuple):
    """A sensor's limits."""

    most_hz: float
    """The fastest output data rate."""
    bandwidth: float
    """Where the output's low-pass filter cuts (-3 dB), as a fraction of the data rate."""


SENSORS: Mapping[str, Known] = {
    "adxl313": Known(3_200, 0.5),  # Analog Devices, ADXL313 rev. C, table 8
    "adxl345": Known(3_200, 0.5),  # ADXL345 rev. G, table 7
    "adxl355": Known(4_000, 0.25),  # ADXL354/ADXL355 rev. C, register 0x28: ODR / 4
    "adxl357": Known(4_000, 0.25),  # ADXL356/ADXL357 rev. A, register 0x28: ODR / 4
    "adxl372": Known(6_400, 0.5),  # ADXL372 rev. B, bandwidth up to 3200 Hz
    "adxl375": Known(3_200, 0.5),  # ADXL375 rev. B, table 6
}
"""By the name that the driver gives them."""
