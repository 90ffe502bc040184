"""An action: a light on the device that shows whether something is wrong.

stages:
  ...
  health: {transform: anomaly, learn_s: 3600}
  light:  {action: led, led: ACT, above: 1.0}
"""

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeapp.api import Context, Field, Options, Packet, Score, Unavailable, action


class LedOptions(Options):
    """Which light, and when it is on."""

    led: str = Field(
        pattern=r"^[\w:.-]+$", description="Name of the light, as in the folder of all lights."
    )
    above: float = Field(1.0, gt=0, description="The light is on while the score is above this.")
    folder: Path = Field(
        Path("/sys/class/leds"), description="Where the kernel keeps the lights of the device."
    )


@action("led")
class Led:
    """Switch a light of the device on while a score is high."""

    def __init__(self, options: LedOptions, context: Context) -> None:
        self._above = options.above
        self._file = options.folder / options.led / "brightness"
        self._log = context.log
        self._on = False

    def __enter__(self) -> Self:
        """Start dark. A stage is opened with `with` if it can be, on the thread that uses it."""
        self._switch(on=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the light off, if it is still there."""
        with suppress(Unavailable):
            self._switch(on=False)

    def act(self, packet: Packet[Score]) -> None:
        """Switch if it has to change. Called at most once for each packet, in order."""
        on = packet.value.ready and packet.value.value > self._above
        if on != self._on:
            self._switch(on=on)
            self._log.info("light switched", on=on, score=packet.value.value)

    def _switch(self, *, on: bool) -> None:
        try:
            self._file.write_text("1" if on else "0", encoding="ascii")
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be written: {error.strerror}") from error
        self._on = on
