"""The model stage: answers packets with the rung of its ladder that the dial asks for.

A step along the ladder happens between two packets and drops none. Loading goes on beside the
lane while the rung in use keeps answering. The next rung down is kept open, as long as there is
memory for it: a step down is what heat asks for, and it must not cost a load first.
"""

import os
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from edgeapp.core.context import Context
from edgeapp.core.dial import Dial, Setting
from edgeapp.core.packet import Packet
from edgeapp.errors import BadPacket, Unavailable
from edgeapp.models.session import Pool
from edgeapp.models.variant import Ladder, Variant, opened

_NICENESS = 10
"""Added to that of a thread which loads, so that the lanes do not feel it."""
_WARM_RUNS = 3
"""Of a model that is opened beside the lane: the first ones allocate and are slow."""


class ModelStage:
    """Answers every packet with a model, and says in its trail which variant it was.

    Open, use and close it on one thread. It alone writes `dial.actual`, `dial.struck` and
    `dial.opening`; deadline and divisor are kept by its caller.
    """

    def __init__(self, ladder: Ladder, context: Context, dial: Dial, pool: Pool) -> None:
        self._ladder = ladder
        self._context = context
        self._dial = dial
        self._pool = pool
        self._open: dict[int, _Opened] = {}
        self._opening: _Opening | None = None
        self._wanted: tuple[Setting, bool] | None = None
        self._settled = False
        """Whether every rung that should be open is, and no other, as far as `_wanted` goes."""
        self._variant: Variant
        self._before: Variant | None = None
        """The one that answered before, kept until `_variant` has shown that it can."""

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
            except (ValueError, MemoryError) as error:
                self._strike(rung, error)
                problems.append(_problem(error))
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
            self._opening.wait()
            self._collect(self._opening)
        self._before = None
        with ExitStack() as stack:
            for rung in self._open.values():
                stack.callback(rung.close)
            self._open.clear()

    def process(self, packet: Packet[Any]) -> Packet[Any]:
        """Follow the dial, then answer: the packet with the model's payload and one more hop."""
        self.follow()
        if self._before is not None:
            return self._first_answer(packet, self._before)
        return self._variant.answer(packet)

    def follow(self) -> None:
        """Come as close to what the dial wants as is possible without waiting."""
        wanted = self._dial.wanted(), self._dial.standby
        if wanted != self._wanted or not self._settled:
            self._wanted = wanted
            self._follow(*wanted)

    def tune(self, ladder: Ladder) -> None:
        """Take over the live options of a ladder that differs from its own in nothing else."""
        self._ladder = ladder
        for rung, one in self._open.items():
            one.variant.tune(ladder.variants[rung].options)

    def _follow(self, wanted: Setting, standby: bool) -> None:
        if self._opening and not self._opening.goes_on:
            self._collect(self._opening)
        goal = self._nearest(wanted.rung)
        assert goal is not None, "the rung in use is never struck"
        best = self._nearest_open(goal)
        if best != self._variant.hop.rung:
            self._flip(best)
        self._dial.actual = Setting(best, wanted.divisor)
        ready = [goal, *self._usable(goal + 1)[:standby]]
        kept = {best, *ready}
        if self._before is not None:
            kept.add(self._before.hop.rung)
        for rung in self._open.keys() - kept:
            self._open.pop(rung).close()
        if not standby:
            self._pool.give_back()
        missing = [rung for rung in ready if rung not in self._open]
        if missing and not self._opening and self._pool.take_turn():
            self._opening = _Opening(self._ladder, missing[0], self._context, self._pool)
            self._dial.opening = True
        self._settled = not missing and self._opening is None and self._before is None

    def _nearest_open(self, goal: int) -> int:
        """The open rung to answer with: the goal, else the nearest one on the way down to it."""
        if goal in self._open:
            return goal
        actual = self._variant.hop.rung
        return max((rung for rung in self._open if actual <= rung < goal), default=actual)

    def _flip(self, rung: int) -> None:
        """Let another rung answer, from the next packet on."""
        before, self._variant = self._before or self._variant, self._open[rung].variant
        if self._variant is before:  # it goes on: no other has answered in between
            self._before = None
        else:
            self._before = before
            self._variant.restart()
        hop = self._variant.hop
        self._context.log.info("variant changed", variant=hop.variant, rung=hop.rung)

    def _first_answer(self, packet: Packet[Any], before: Variant) -> Packet[Any]:
        """Answer with the rung that is new or, if it cannot, strike it and go on as before."""
        try:
            answer = self._variant.answer(packet)
        except (BadPacket, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 - the rung is struck and named
            rung = self._variant.hop.rung
            self._strike(rung, error)
            self._flip(before.hop.rung)
            self._open.pop(rung).close()
            self._dial.actual = Setting(before.hop.rung, self._dial.actual.divisor)
            answer = before.answer(packet)
        self._before = None
        self._settled = False
        return answer

    def _collect(self, opening: "_Opening") -> None:
        """Take over what a thread, now ended, has opened, or strike the rung."""
        self._opening = None
        self._dial.opening = False
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
            problem=_problem(error),
        )

    def _nearest(self, rung: int) -> int | None:
        """This rung, else the next usable one down, else the next one up."""
        return next(iter([*self._usable(rung), *reversed(self._usable(0))]), None)

    def _usable(self, first: int) -> list[int]:
        """The rungs from `first` on down that were not struck, best first."""
        rungs = range(first, len(self._ladder.variants))
        return [rung for rung in rungs if rung not in self._dial.struck]


def _problem(error: BaseException) -> str:
    return str(error) if isinstance(error, ValueError) else repr(error)


class _Opened:
    """A rung that is open; `close` may be called on another thread."""

    def __init__(
        self, ladder: Ladder, rung: int, context: Context, pool: Pool, *, runs: int = 1
    ) -> None:
        with ExitStack() as stack:
            self.variant: Variant = stack.enter_context(
                opened(ladder, rung, context, pool, runs=runs)
            )
            self.close = stack.pop_all().close


class _Opening:
    """A rung that is being opened, on a thread which ends with it, and the pool's turn with it."""

    def __init__(self, ladder: Ladder, rung: int, context: Context, pool: Pool) -> None:
        self.rung = rung
        self.ladder = ladder
        self.result: _Opened | BaseException
        """Set once the thread has ended."""

        def work() -> None:
            try:
                # While a model is freed the interpreter stands still: not at a low priority.
                pool.sweep()
                with suppress(OSError):
                    os.nice(_NICENESS)  # on Linux this is the niceness of the calling thread alone
                self.result = _Opened(ladder, rung, context, pool, runs=_WARM_RUNS)
            except BaseException as error:  # noqa: BLE001 - the stage strikes the rung and names it
                self.result = error
            finally:
                pool.end_turn()

        name = f"{context.pipeline}/{context.id}/open"
        self.thread = threading.Thread(target=work, name=name, daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:  # there is no memory for one more
            pool.end_turn()
            self.result = error

    @property
    def goes_on(self) -> bool:
        """Whether there is no result yet."""
        return self.thread.is_alive()

    def wait(self) -> None:
        """Wait for the result."""
        if self.thread.is_alive():
            self.thread.join()
