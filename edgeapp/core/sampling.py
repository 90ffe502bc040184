"""What is known of a signal before it comes, for complaints before anything runs.

Options may say it, by methods found by name:

- `sampling(self) -> Sampling` on a source's options: what it will give.
- `sampled(self, before: Sampling) -> Sampling` on a transform's: what becomes of it.
- `misfits(self, before: Sampling) -> Iterable[Misfit]` on any stage's: why it cannot do with that
  what is asked of it.
"""

from typing import NamedTuple


class Sampling(NamedTuple):
    """A sampled signal, as far as it is known beforehand."""

    rate_hz: float | None
    """None where only the device knows."""
    top_hz: float = float("inf")
    """The highest frequency that can be seen in it."""
    samples: int | None = None
    """Of each packet and channel."""
    sensor: str | None = None
    """The sensor's name, where that is what limits `top_hz`."""

    @classmethod
    def unknown(cls) -> "Sampling":
        """Nothing is known."""
        return cls(None)

    @classmethod
    def at(cls, rate_hz: float, block_s: float) -> "Sampling":
        """Sampled at this rate, in blocks of so many seconds."""
        return cls(rate_hz, rate_hz / 2, max(1, round(block_s * rate_hz)))

    @property
    def duration_s(self) -> float | None:
        """How long a packet lasts."""
        if self.rate_hz is None or self.samples is None:
            return None
        return self.samples / self.rate_hz

    @property
    def why_not_above(self) -> str:
        """Why nothing above `top_hz` can be seen, as a sentence without its end."""
        if self.sensor is not None:
            return f"at {self.rate_hz:g} Hz an {self.sensor} gives nothing above {self.top_hz:g} Hz"
        return f"sampled at {self.rate_hz:g} Hz, the signal holds nothing above {self.top_hz:g} Hz"


class Misfit(NamedTuple):
    """Something that is asked for and cannot be had."""

    option: str
    """Which option asks for it; "" for the stage as a whole."""
    problem: str
    remedy: str
