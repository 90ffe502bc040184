"""Switching an output line: a lamp, a relay, a siren."""

import errno
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from edgeapp.api import (
    Bands,
    Context,
    Detections,
    Event,
    Features,
    Field,
    Image,
    Labels,
    Mask,
    Options,
    Packet,
    Pose,
    Score,
    Unavailable,
    action,
)

_MOST_EVENTS = 256
"""Events that may last at the same time; the oldest is forgotten first."""

Cause = Event | Detections | Labels | Score | Features | Mask | Pose | Image | Bands


class GpioOptions(Options):
    """Which line, and what it does."""

    line: int | str = Field(
        examples=[17],
        description="The line: its number on the chip, or its name, as `gpioinfo` shows it.",
    )
    chip: str = Field(default="/dev/gpiochip0", description="The chip that has the line.")
    mode: Literal["follow", "pulse", "toggle"] = Field(
        default="follow",
        description="'follow': on while an event lasts, and for pulse_s on what has no end; "
        "'pulse': on for pulse_s at each beginning; 'toggle': changes at each beginning.",
    )
    pulse_s: float = Field(
        default=1.0, gt=0, le=3600, description="How long a pulse is, from its last cause on."
    )
    active: Literal["high", "low"] = Field(
        default="high", description="The level that means on; many relay boards want 'low'."
    )
    safe: Literal["off", "on"] = Field(
        default="off",
        description="What the line is before the first packet, and after a stop or a fault.",
    )

    @field_validator("line")
    @classmethod
    def _possible(cls, value: int | str) -> int | str:
        if value == "" or (isinstance(value, int) and value < 0):
            raise ValueError("a line is a number from 0 on, or a name")
        return value

    @model_validator(mode="after")
    def _can_be_driven(self) -> Self:
        try:
            import gpiod  # noqa: F401 - whether it is there
        except ImportError:
            problem = "lines need gpiod, which is not installed: pip install 'edgeapp[gpio]'"
            raise ValueError(problem) from None
        return self


@action("gpio")
class Gpio:
    """Switch an output line of the device: on while something lasts, or for a moment.

    An event is on from `new` until `end`; with several, until the last one ends. Anything else,
    such as detections with a box, is a cause at that moment; detections without one are none.
    The line goes to its safe state at a stop and on a fault. A killed process leaves it to the
    driver: what must be safe then needs a resistor.
    """

    def __init__(self, options: GpioOptions, context: Context) -> None:
        self._options = options
        self._line = _Line(options)
        name = f"{context.pipeline}/{context.id}/pulse"
        self._pulses = _Pulses(name, self._line, options.pulse_s)
        self._events: dict[str, None] = {}  # that last, oldest first

    def __enter__(self) -> Self:
        """Take the line, in its safe state.

        Raises:
            Unavailable: there is no such chip or line, or it is another's.
        """
        self._line.open()
        self._pulses.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the line into its safe state and let it go."""
        self._pulses.close()
        self._line.close()

    def act(self, packet: Packet[Cause], /) -> None:
        """Switch the line.

        Raises:
            Unavailable: the chip is gone.
        """
        value = packet.value
        if isinstance(value, Detections) and not len(value):
            return
        if isinstance(value, Event) and value.phase != "new":
            if self._options.mode == "follow":
                self._follow(value)
        elif self._options.mode == "toggle":
            self._line.toggle()
        elif self._options.mode == "follow" and isinstance(value, Event):
            self._follow(value)
        else:
            self._pulses.pulse()
        self._pulses.check()

    def _follow(self, event: Event) -> None:
        self._events.pop(event.event, None)
        if event.phase != "end":
            self._events[event.event] = None
            if len(self._events) > _MOST_EVENTS:
                del self._events[next(iter(self._events))]
        self._pulses.hold(on=bool(self._events))


class _Line:
    """The line, through libgpiod, whose requests are for one thread at a time: hold `lock`."""

    def __init__(self, options: GpioOptions) -> None:
        self._options = options
        self._request: Any = None
        self._on = False
        self.lock = threading.RLock()

    def open(self) -> None:
        import gpiod
        from gpiod.line import Direction, Value

        options = self._options
        self._values = {False: Value.INACTIVE, True: Value.ACTIVE}
        self._on = options.safe == "on"
        settings = gpiod.LineSettings(
            direction=Direction.OUTPUT,
            active_low=options.active == "low",
            output_value=self._values[self._on],
        )
        try:
            self._request = gpiod.request_lines(
                options.chip, consumer="edgeapp", config={options.line: settings}
            )
        except (OSError, ValueError) as error:
            raise Unavailable(self._said(error)) from None

    def _said(self, error: Exception) -> str:
        chip, line = self._options.chip, self._options.line
        if not Path(chip).exists():
            return f"there is no chip '{chip}'; `gpiodetect` lists those that are there"
        if isinstance(error, PermissionError):
            return f"'{chip}' may not be opened: add the user to the group 'gpio'"
        if isinstance(error, FileNotFoundError | ValueError):
            return f"'{chip}' has no line '{line}'; `gpioinfo` lists them"
        if isinstance(error, OSError) and error.errno == errno.EBUSY:
            return f"line '{line}' of '{chip}' is in use; `gpioinfo` says by whom"
        return f"line '{line}' of '{chip}' cannot be taken: {error}"

    def toggle(self) -> None:
        with self.lock:
            self.set(on=not self._on)

    def set(self, *, on: bool) -> None:
        with self.lock:
            if self._request is None:
                return
            try:
                self._request.set_value(self._options.line, self._values[on])
            except OSError as error:
                said = os.strerror(error.errno or 0)
                problem = f"line '{self._options.line}' cannot be switched: {said}"
                raise Unavailable(problem) from None
            self._on = on

    def close(self) -> None:
        """Safe state, then let go, also of a chip that is gone."""
        with self.lock:
            try:
                self.set(on=self._options.safe == "on")
            finally:
                request, self._request = self._request, None
                if request is not None:
                    request.release()


class _Pulses:
    """Ends pulses in time, on a thread of its own: a pulse ends though no packet ever comes."""

    def __init__(self, name: str, line: _Line, pulse_s: float) -> None:
        self._line = line
        self._pulse_s = pulse_s
        self._changed = threading.Condition()
        self._end_s = 0.0  # of the pulse, by the device's own clock
        self._held = False
        self._closing = False
        self._on = False
        self._problem: Unavailable | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def pulse(self) -> None:
        """On for `pulse_s` from now."""
        with self._changed:
            self._end_s = time.monotonic() + self._pulse_s
            self._switch()

    def hold(self, *, on: bool) -> None:
        """On until told otherwise, or no longer."""
        with self._changed:
            self._held = on
            self._switch()

    def check(self) -> None:
        """Raise what went wrong on the thread."""
        if self._problem is not None:
            raise self._problem

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(1.0)

    def _switch(self) -> None:
        on = self._held or time.monotonic() < self._end_s
        if on != self._on:
            self._line.set(on=on)
            self._on = on
        self._changed.notify()  # also where the line stays on: its end may be another one now

    def _run(self) -> None:
        with self._changed:
            while not self._closing:
                pulsed = self._on and not self._held
                left_s = self._end_s - time.monotonic()
                if pulsed and left_s <= 0:
                    try:
                        self._switch()
                    except Unavailable as error:
                        self._problem = error
                        return
                else:
                    self._changed.wait(left_s if pulsed else None)
