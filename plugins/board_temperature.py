"""A source: how warm the board is.

    stages:
      board: {source: board_temperature, rate_hz: 0.5}

Drop a file like this into the plugins folder, and every pipeline may name what it holds.
"""

from pathlib import Path

import numpy as np

# All that a plugin needs comes from here; nothing else of edgeapp is promised to stay.
from edgeapp.api import Context, Emit, Field, Options, Signal, Unavailable, source


class BoardTemperatureOptions(Options):
    """What a pipeline may set. The descriptions are shown to users and in their editors."""

    file: Path = Field(
        Path("/sys/class/thermal/thermal_zone0/temp"),
        description="File from which the kernel gives the temperature in thousandths of a degree.",
    )
    rate_hz: float = Field(1.0, gt=0, le=10, description="How many times a second to look.")


# Live, as sources are unless they say otherwise: it gets a thread of its own.
@source("board_temperature")
class BoardTemperature:
    """The temperature of the board, in degrees Celsius."""

    def __init__(self, options: BoardTemperatureOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Signal], /) -> None:
        """Emit one sample at a time, until the pipeline stops."""
        options = self._options
        while True:
            emit(Signal(self._read(), options.rate_hz, ("board",), ("°C",)))
            # Not time.sleep: this one ends when the pipeline stops.
            self._context.sleep(1 / options.rate_hz)

    def _read(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        file = self._options.file
        try:
            degrees = int(file.read_text(encoding="ascii")) / 1000
        except (OSError, ValueError) as error:
            # The world outside is not as it should be: edgeapp tries again, with patience.
            raise Unavailable(f"{file} gives no temperature: {error}") from error
        return np.array([[degrees]], np.float32)
