"""Tests of what happens in real time, on a machine that has other things to do as well."""

import functools
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Self

import pytest

_LOOK_S = 0.01
_TRIES = 5

P = ParamSpec("P")


class HoldUps:
    """Measures within its block for how long this process got no time, or was stopped."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        before_s, over = time.monotonic(), False
        while not over:
            over = self._over.wait(_LOOK_S)
            now_s = time.monotonic()
            self.longest_s = max(self.longest_s, now_s - before_s - _LOOK_S)
            before_s = now_s


def again_if_held_up(most_s: float) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Begin a test again that failed while this process was held up for longer than `most_s`.

    A few times at most. For tests that cannot be told from what they look for when that happens: of
    sound that nobody takes some is lost. One that fails undisturbed has failed.
    """

    def decorated(test: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(test)
        def tried(*args: P.args, **kwargs: P.kwargs) -> None:
            for left in reversed(range(_TRIES)):
                try:
                    with HoldUps() as seen:
                        test(*args, **kwargs)
                except (Exception, pytest.fail.Exception) as error:
                    if not left or seen.longest_s <= most_s:
                        raise
                    print(f"again: held up for {seen.longest_s:.2f} s, then {error!r}")
                else:
                    return

        return tried

    return decorated
