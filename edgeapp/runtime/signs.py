"""Signs of life of one stage, which cost it nothing: whether it still looks if it is to stop."""

import threading


class Signs(threading.Event):
    """`stopping` as one stage sees it. That the stage looks at it, or waits for it, is noticed.

    So a stage that waits for its device, or for a program that it started, is told from one that
    hangs, as long as it looks now and then. Nothing is stamped: a number is counted up here, and
    whoever wants to know compares it with that of the last time.
    """

    def __init__(self, stopping: threading.Event) -> None:
        super().__init__()
        self.opening_since_ns = 0
        """When opening the stage began; 0 while it is not being opened."""
        self._stopping = stopping
        self._looks = 0
        self._waiting = False
        self._seen = (0, 0)  # how many signs there were at the last change, and when that was seen

    def is_set(self) -> bool:
        """Whether the pipeline stops."""
        self._looks += 1
        return self._stopping.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the pipeline stops; whether it does."""
        self._waiting = True
        try:
            return self._stopping.wait(timeout)
        finally:
            self._looks += 1
            self._waiting = False

    def set(self) -> None:
        """Have all stages of the pipeline stop."""
        self._stopping.set()

    def clear(self) -> None:
        """Take it back, for all stages."""
        self._stopping.clear()

    def last_ns(self, now_ns: int, others: int = 0) -> int:
        """When a sign was seen last, as exactly as this is called often. Any thread.

        `others`: a count of signs of another kind; they are of no matter while it stays.
        """
        signs = self._looks + others
        if self._waiting or signs != self._seen[0]:
            self._seen = signs, now_ns
        return self._seen[1]
