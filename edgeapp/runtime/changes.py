"""Whether there is anything new to say: what `on_change` of an output asks of each packet."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from edgeapp.core.answers import Event
from edgeapp.core.context import Log
from edgeapp.core.link import AnyPacket
from edgeapp.rules.term import Term, TermReader

MOST = 1024
"""Of so many events, sources and kinds of payload it is known what was said last."""

Of: TypeAlias = tuple[str, type, str]


class Changes:
    """Compares packets with the last one that was sent, for one output. For one thread.

    Each source and each kind of payload is compared with itself, each event too; a source that was
    reopened begins anew. The beginning and the end of an event are always news, and so is a payload
    that none of the terms says anything about.
    """

    def __init__(self, terms: Sequence[Term], log: Log) -> None:
        self._terms = [TermReader(term, log) for term in terms]
        self._sent: dict[Of, tuple[int, tuple[Any, ...]]] = {}
        self._asked: tuple[Of, int, tuple[Any, ...]] | None = None

    def is_news(self, packet: AnyPacket) -> bool:
        """Whether one of the values differs from what was sent last. Never raises."""
        value = packet.value
        self._asked = None
        if not any(term.knows(packet) for term in self._terms):
            return True
        event = value.event if isinstance(value, Event) else ""
        of = packet.origin, type(value), event
        if event and value.phase == "end":
            self._sent.pop(of, None)
            return True
        values = tuple(term(packet) for term in self._terms)
        self._asked = of, packet.epoch, values
        return (event != "" and value.phase == "new") or self._sent.get(of) != self._asked[1:]

    def settle(self) -> None:
        """What was asked about last has been sent."""
        if self._asked is None:
            return
        of, epoch, values = self._asked
        self._sent.pop(of, None)  # the one that is longest unsaid is forgotten first
        self._sent[of] = epoch, values
        if len(self._sent) > MOST:
            del self._sent[next(iter(self._sent))]
