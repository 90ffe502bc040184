"""One rung of a ladder, ready to answer: a leased session and the decoder that fits it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from edgeapp.core.context import Context
from edgeapp.core.packet import Hop, Packet
from edgeapp.core.plugin import Options, Plugin
from edgeapp.core.stage import Decoder
from edgeapp.models.session import Pool, Session


class Rung(Protocol):
    """One model file of a ladder, as planned."""

    @property
    def name(self) -> str:
        """The variant's name."""

    @property
    def file(self) -> Path:
        """The model file."""

    @property
    def options(self) -> Options:
        """The decoder's options that belong to this file."""


class Ladder(Protocol):
    """What a model stage needs of its plan."""

    @property
    def plugin(self) -> Plugin:
        """The decoder."""

    @property
    def variants(self) -> Sequence[Rung]:
        """The model files, best first; at least one."""


class Variant:
    """Answers packets with one model file. Made by `opened`; for one thread at a time."""

    def __init__(self, hop: Hop, session: Session, decoder: Decoder[Any, Any, Any]) -> None:
        self.hop = hop
        """What it adds to the trail of a packet."""
        self._session = session
        self._decoder = decoder

    def answer(self, packet: Packet[Any]) -> Packet[Any]:
        """Return the packet with its value replaced by what the model says of it."""
        feed = self._decoder.feed(packet.value, into=self._session.into)
        value = self._decoder.decode(self._session.run(), feed)
        return packet._replace(value=value, trail=(*packet.trail, self.hop))


@contextmanager
def opened(ladder: Ladder, rung: int, context: Context, pool: Pool) -> Iterator[Variant]:
    """Lease a rung's session, build its decoder and run the model once, on zeros.

    Raises:
        ValueError: the file is no usable model, or not one for this decoder; says why.
    """
    variant = ladder.variants[rung]
    with pool.lease(variant.file) as session:
        decoder = ladder.plugin.factory(variant.options, context)
        decoder.accept(session.inputs, session.outputs)
        session.warm_up()
        yield Variant(Hop(context.id, ladder.plugin.name, variant.name, rung), session, decoder)
