"""Memory: first the standbys go, then models become smaller."""

from math import inf

STEP_S = 15.0
"""What was given back has so long to help before more is."""
HOLD_S = 600.0
"""Without need, before standbys come back and models may grow."""
SHRINK = 0.85
"""Of what the models take, what they may take next where giving back the standbys did not help."""


class Memory:
    """Remembers whether memory was short, and answers what may be loaded."""

    def __init__(self, reserve_mb: float) -> None:
        self.keep_standbys = True
        """Whether the next rungs down may stay loaded."""
        self.cap_mb = inf
        """What our loaded models may take together."""
        self._reserve_mb = reserve_mb
        self._short_s = -inf
        self._step_s = -inf
        self._in_use_mb = inf

    def look(
        self, now_s: float, *, pressed: bool, available_mb: float | None, in_use_mb: float | None
    ) -> None:
        """Take in a tick.

        Args:
            now_s: Monotonic time.
            pressed: Everything waits for memory.
            available_mb: What the kernel could still give; None: it does not say.
            in_use_mb: What our loaded models take; None: as before, they are about to change.
        """
        if in_use_mb is None:
            in_use_mb = self._in_use_mb
        self._in_use_mb = in_use_mb
        spare_mb = inf if available_mb is None else available_mb - self._reserve_mb
        shrink = False
        if pressed or spare_mb < 0:
            self._short_s = now_s
            shrink = not self.keep_standbys and now_s - self._step_s >= STEP_S
            if shrink or self.keep_standbys:
                self._step_s = now_s
            self.keep_standbys = False
        held = now_s - self._short_s < HOLD_S
        self.keep_standbys = self.keep_standbys or not held
        if shrink:
            self.cap_mb = SHRINK * in_use_mb
        else:
            self.cap_mb = in_use_mb + (0.0 if held else max(0.0, spare_mb))
