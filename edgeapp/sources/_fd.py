"""Waiting for a device's bytes, but not through a shutdown."""

import os
import select

from edgeapp.api import Context, Unavailable

NS = 1_000_000_000
_POLL_MS = 100
"""How soon a stop is seen."""


class Readable:
    """A device that is read from; for one thread. `fd` is non-blocking and stays the caller's."""

    def __init__(self, fd: int, name: str, context: Context, silence_s: float) -> None:
        self._fd = fd
        self._name = name
        self._context = context
        self._silence_s = silence_s
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def read(self, most: int) -> bytes:
        """The next bytes, at least one and at most `most`.

        Raises:
            Unavailable: the device is gone, or silent for too long.
            Stopping: the pipeline stops.
        """
        context = self._context
        began_ns = context.clock.now_ns()
        while True:
            context.sleep(0)
            try:
                if self._poll.poll(_POLL_MS):
                    found = os.read(self._fd, most)
                    if not found:
                        raise Unavailable(f"{self._name} is gone")
                    return found
            except BlockingIOError:
                pass
            except OSError as error:
                raise Unavailable(f"{self._name} is gone: {error.strerror}") from None
            if context.clock.now_ns() - began_ns > self._silence_s * NS:
                raise Unavailable(f"{self._name} has sent nothing for {self._silence_s:g} s")
