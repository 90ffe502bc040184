"""When the samples of a microphone were captured, by a clock that is not the microphone's."""

from edgeapp.api import samples_ns

_GAIN = 1 / 32
"""Part of a deviation that is followed at each block: its jitter is averaged over about 32 blocks,
and a crystal that is 100 ppm off is followed to within 1 % of a block."""


class CaptureTime:
    """Counts samples, and lets the count follow the driver's times slowly.

    Counted samples alone would drift away from the clock by seconds a day; the driver's times
    alone jump about by milliseconds. A first-order loop between the two, as in F. Adriaensen,
    "Using a DLL to filter time" (2005), less its second order. Time never goes back.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._end_ns: int | None = None

    def after(self, count: int, measured_ns: int) -> int:
        """The end of a block of `count` samples that follow on the last ones.

        `measured_ns`: when the driver says that they ended, by the clock that is wanted.
        """
        if self._end_ns is None:
            self._end_ns = measured_ns
            return measured_ns
        expected_ns = self._end_ns + samples_ns(count, self._rate_hz)
        followed_ns = expected_ns + round((measured_ns - expected_ns) * _GAIN)
        self._end_ns = max(self._end_ns, followed_ns)
        return self._end_ns

    def missed(self, block: int, measured_ns: int) -> int:
        """How many blocks are missing before one of `block` samples that ended at `measured_ns`.

        For a driver that says that it lost samples, but not how many: at least one block.
        """
        if self._end_ns is None:
            return 1
        block_ns = samples_ns(block, self._rate_hz)
        return max(1, round((measured_ns - self._end_ns) / block_ns) - 1)
