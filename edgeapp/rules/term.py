"""A term: something about a packet that the language of rules can say, such as `count("person")`.

Outputs compare it with what they sent last.
"""

from typing import Any

from edgeapp.core.context import Log
from edgeapp.core.link import AnyPacket
from edgeapp.core.payload import Payload
from edgeapp.rules.compiler import term
from edgeapp.rules.fields import Read
from edgeapp.rules.rule import Asking
from edgeapp.rules.tree import name_of, parts
from edgeapp.rules.types import check_term
from edgeapp.rules.written import Written


class Term(Written):
    """A number, a text, a fact, or a question about a packet: `count`, `facts["zone"]`, `score > 1`.

    As the type of an option it is checked with the pipeline, against what really arrives.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Parse a term; check its names and types as far as that can be done alone.

        Raises:
            RuleError: it is wrong; says where (a ValueError).
        """
        super().__init__(text)
        check_term(self._tree, self.scope)

    def reader(self, payload: type[Payload]) -> Read | None:
        """What reads it from packets with this payload: None where one does not say; never raises.

        None instead of a reader where such a payload lacks one of its fields. For one thread.
        """
        fields = self.scope.fields(payload)
        named = {name for part in parts(self._tree) if (name := name_of(part)) is not None}
        return term(self._tree, fields) if named <= fields.keys() else None


class TermReader(Asking):
    """Reads a term from packets. For one thread."""

    __slots__ = ("_reads", "_term")

    def __init__(self, term: Term, log: Log) -> None:
        """Read `term`; a key or a label that does not come is told once in the log."""
        super().__init__(term, log)
        self._term = term
        self._reads: dict[type, Read | None] = {}

    def knows(self, packet: AnyPacket) -> bool:
        """Whether such a payload has what the term names."""
        payload = type(packet.value)
        if payload not in self._reads:
            self._reads[payload] = self._term.reader(payload)
            self._tell(packet.value)
        return self._reads[payload] is not None

    def __call__(self, packet: AnyPacket) -> Any:
        """What it says of a packet; None where the packet does not say. Never raises."""
        if not self.knows(packet):
            return None
        read = self._reads[type(packet.value)]
        assert read is not None
        return read(packet)
