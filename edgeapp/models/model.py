"""The model stage: answers packets with the rung of its ladder that the dial asks for.

A step along the ladder happens between two packets and drops none. Loading goes on beside the
lane while the rung in use keeps answering. The next rung down is always kept open: a step down is
what heat asks for, and it must not cost a load first.
"""

import os
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from edgeapp.core.context import Context
from edgeapp.core.dial import Dial, Setting
from edgeapp.core.packet import Packet
from edgeapp.errors import Unavailable
from edgeapp.models.session import Pool
from edgeapp.models.variant import Ladder, Variant, opened

_NICENESS = 10
"""Added to that of a thread which loads, so that the lanes do not feel it."""


class ModelStage:
    """Answers every packet with a model, and says in its trail which variant it was.

    Open, use and close it on one thread. It alone writes `dial.actual` and `dial.struck`; deadline
    and divisor are kept by its caller.
    """

    def __init__(self, ladder: Ladder, context: Context, dial: Dial, pool: Pool) -> None:
        self._ladder = ladder
        self._context = context
        self._dial = dial
        self._pool = pool
        self._open: dict[int, _Opened] = {}
        self._opening: _Opening | None = None
        self._wanted: Setting | None = None
        self._settled = False
        """Whether every rung that should be open is, as far as `_wanted` goes."""
        self._variant: Variant

    def __enter__(self) -> Self:
        """Open the rung that the dial wants, or the nearest one that can be used.

        Raises:
            Unavailable: no variant can be used; says what is wrong with each.
        """
        self._dial.struck = frozenset()
        wanted = self._dial.wanted()
        problems = []
        while (rung := self._nearest(wanted.rung)) is not None:
            try:
                self._open[rung] = _Opened(self._ladder, rung, self._context, self._pool)
            except ValueError as error:
                self._strike(rung, error)
                problems.append(str(error))
            else:
                self._variant = self._open[rung].variant
                self._dial.actual = Setting(rung, wanted.divisor)
                return self
        raise Unavailable(f"no variant of the model can be used: {'; '.join(problems)}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every rung; one that is just being opened is waited for."""
        if self._opening:
            self._opening.thread.join()
            self._collect(self._opening)
        for rung in self._open.values():
            rung.close()
        self._open.clear()

    def process(self, packet: Packet[Any]) -> Packet[Any]:
        """Follow the dial, then answer: the packet with the model's payload and one more hop."""
        wanted = self._dial.wanted()
        if wanted != self._wanted or not self._settled:
            self._wanted = wanted
            self._follow(wanted)
        return self._variant.answer(packet)

    def tune(self, ladder: Ladder) -> None:
        """Take over the live options of a ladder that differs from its own in nothing else."""
        self._ladder = ladder
        for rung, one in self._open.items():
            one.variant.tune(ladder.variants[rung].options)

    def _follow(self, wanted: Setting) -> None:
        """Come as close to `wanted` as is possible without waiting."""
        if self._opening and not self._opening.thread.is_alive():
            self._collect(self._opening)
        goal = self._nearest(wanted.rung)
        assert goal is not None, "the rung in use is never struck"
        if goal in self._open and goal != self._variant.hop.rung:
            self._variant = self._open[goal].variant
            self._variant.restart()
            hop = self._variant.hop
            self._context.log.info("variant changed", variant=hop.variant, rung=hop.rung)
        actual = self._variant.hop.rung
        self._dial.actual = Setting(actual, wanted.divisor)
        ready = [goal, *self._usable(goal + 1)[:1]]
        for rung in self._open.keys() - {actual, *ready}:
            self._open.pop(rung).close()
        missing = [rung for rung in ready if rung not in self._open]
        if missing and not self._opening:
            self._opening = _Opening(self._ladder, missing[0], self._context, self._pool)
        self._settled = not missing and not self._opening

    def _collect(self, opening: "_Opening") -> None:
        """Take over what a thread, now ended, has opened, or strike the rung."""
        self._opening = None
        if isinstance(opening.result, _Opened):
            self._open[opening.rung] = opening.result
            if self._ladder is not opening.ladder:  # tuned meanwhile
                opening.result.variant.tune(self._ladder.variants[opening.rung].options)
        else:
            self._strike(opening.rung, opening.result)

    def _strike(self, rung: int, error: BaseException) -> None:
        """Never try this rung again while the stage is open."""
        self._dial.struck |= {rung}
        self._context.log.warning(
            "variant cannot be used",
            variant=self._ladder.variants[rung].name,
            rung=rung,
            problem=str(error) if isinstance(error, ValueError) else repr(error),
        )

    def _nearest(self, rung: int) -> int | None:
        """This rung, else the next usable one down, else the next one up."""
        return next(iter([*self._usable(rung), *reversed(self._usable(0))]), None)

    def _usable(self, first: int) -> list[int]:
        """The rungs from `first` on down that were not struck, best first."""
        rungs = range(first, len(self._ladder.variants))
        return [rung for rung in rungs if rung not in self._dial.struck]


class _Opened:
    """A rung that is open; `close` may be called on another thread."""

    def __init__(self, ladder: Ladder, rung: int, context: Context, pool: Pool) -> None:
        with ExitStack() as stack:
            self.variant: Variant = stack.enter_context(opened(ladder, rung, context, pool))
            self.close = stack.pop_all().close


class _Opening:
    """A rung that is being opened, on a thread which ends with it."""

    def __init__(self, ladder: Ladder, rung: int, context: Context, pool: Pool) -> None:
        self.rung = rung
        self.ladder = ladder
        self.result: _Opened | BaseException
        """Set once the thread has ended."""

        def work() -> None:
            os.nice(_NICENESS)  # on Linux this is the niceness of the calling thread alone
            try:
                self.result = _Opened(ladder, rung, context, pool)
            except Exception as error:  # noqa: BLE001 - the stage strikes the rung and names it
                self.result = error

        name = f"{context.pipeline}/{context.id}/open"
        self.thread = threading.Thread(target=work, name=name, daemon=True)
        self.thread.start()
