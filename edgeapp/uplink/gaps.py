"""Gaps: what had to be dropped, kept until the broker has been told."""

from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

from edgeapp.core.message import Message, Priority
from edgeapp.uplink.notices import GapNotice
from edgeapp.uplink.outbox import Key, Reason

TOPIC = "gap"

Told = Literal["full", "expired", "disk"]
"""The reasons for which a drop is told: the message was taken in, and nobody wanted it away."""

_TOLD: frozenset[str] = frozenset(get_args(Told))


@dataclass(slots=True)
class Gap:
    """Messages of one class that were dropped for one reason; told in one go."""

    priority: Priority
    reason: Told
    count: int
    first: Key
    last: Key
    id: int = 0
    """On the disk; 0: it is not there."""
    run: int = 0
    number: int = 0
    """Of the message that tells of it, in the run `run`; 0: it is still being added to."""
    taken_ns: int = 0
    """When that message was made."""

    def add(self, count: int, first: Key, last: Key) -> None:
        """So many more, between these two."""
        self.count += count
        self.first = min(self.first, first)
        self.last = max(self.last, last)

    def message(self, device: str) -> Message:
        """What tells of it."""
        body = GapNotice(
            schema="edgeapp/gap/1",
            reason=self.reason,
            priority=self.priority,
            count=self.count,
            first=f"{device}/{self.first.run}/{self.first.number}",
            last=f"{device}/{self.last.run}/{self.last.number}",
        )
        return Message(TOPIC, msgspec.json.encode(body), self.taken_ns, "critical")


class GapBook:
    """All gaps of which the broker has not been told. Not safe from threads by itself.

    There is one open gap at most for each class and reason: it grows until it is told, and
    while that is under way the next one begins. So there are never more than a few.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[Priority, Told], Gap] = {}
        self._frozen: dict[Key, Gap] = {}
        self._changed: dict[int, Gap] = {}  # by identity
        self._finished: list[int] = []

    @property
    def is_any_open(self) -> bool:
        """Whether there is something that the broker was not yet told."""
        return bool(self._open)

    def add(self, priority: Priority, reason: Reason, first: Key, last: Key, count: int) -> None:
        """Note what was dropped; for other reasons than those that are told, nothing."""
        if reason not in _TOLD:
            return
        told: Told = reason  # type: ignore[assignment]  # it was looked up just now
        gap = self._open.get((priority, told))
        if gap is None:
            gap = self._open[priority, told] = Gap(priority, told, count, first, last)
        else:
            gap.add(count, first, last)
        self._changed[id(gap)] = gap

    def ripe(self) -> list[Gap]:
        """The open ones of which the broker could be told now."""
        under_way = {(gap.priority, gap.reason) for gap in self._frozen.values()}
        return [gap for place, gap in self._open.items() if place not in under_way]

    def freeze(self, gap: Gap, key: Key, now_ns: int) -> None:
        """Nothing is added to it any more: the message `key` is to tell of it."""
        del self._open[gap.priority, gap.reason]
        gap.run, gap.number, gap.taken_ns = *key, now_ns
        self._frozen[key] = gap
        self._changed[id(gap)] = gap

    def finish(self, key: Key) -> None:
        """The broker has been told."""
        self._finish(self._frozen.pop(key))

    def is_written(self, key: Key) -> bool:
        """Whether the gap of which this message tells is on the disk, as it is told."""
        gap = self._frozen[key]
        return gap.id > 0 and id(gap) not in self._changed

    def found(self, gaps: list[Gap]) -> list[Gap]:
        """Take what earlier runs left on the disk; returns those that were frozen by then."""
        for gap in gaps:
            if gap.number:
                self._frozen[Key(gap.run, gap.number)] = gap
                continue
            known = self._open.get((gap.priority, gap.reason))
            self._open[gap.priority, gap.reason] = gap
            if known is not None:
                gap.add(known.count, known.first, known.last)
                self._changed[id(gap)] = gap
                self._finish(known)
        return [gap for gap in gaps if gap.number]

    def changes(self) -> tuple[list[Gap], list[int]]:
        """What is to be written: gaps as they are, and ids of those to be deleted. Once."""
        changed, finished = list(self._changed.values()), self._finished
        self._changed, self._finished = {}, []
        return changed, finished

    def written(self, gap: Gap, row: int) -> None:
        """A changed one is on the disk now, as `row`."""
        gap.id = row
        if not self._is_known(gap):
            self._finished.append(row)  # the broker was told in the meantime

    def undo(self, changed: list[Gap], finished: list[int]) -> None:
        """These changes were not written after all."""
        self._changed |= {id(gap): gap for gap in changed if self._is_known(gap)}
        self._finished += finished

    def _is_known(self, gap: Gap) -> bool:
        return any(gap is known for known in (*self._open.values(), *self._frozen.values()))

    def _finish(self, gap: Gap) -> None:
        self._changed.pop(id(gap), None)
        if gap.id:
            self._finished.append(gap.id)
