"""One rung of a ladder, ready to answer: a leased session and the decoder that fits it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgeapp.core.context import Context
from edgeapp.core.packet import Continuity, Hop, Packet
from edgeapp.core.plugin import Options, Plugin
from edgeapp.core.stage import Decoder, Tensors, TensorSpecs
from edgeapp.errors import BadPacket
from edgeapp.models.carry import first_tensors
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

    @property
    def carry(self) -> Mapping[str, str]:
        """Which output goes back into which input at the next run; empty for most models."""


class Variant:
    """Answers packets with one model file. Made by `opened`; for one thread at a time."""

    def __init__(self, hop: Hop, session: Session, decoder: Decoder[Any, Any, Any]) -> None:
        self.hop = hop
        """What it adds to the trail of a packet."""
        self._session = session
        self._decoder = decoder

    def restart(self) -> None:
        """Forget what was carried from earlier packets: they were answered by another variant."""

    def tune(self, options: Options) -> None:
        """Give the decoder other values of its live options."""
        self._decoder.tune(options)  # type: ignore[attr-defined]  # a decoder with live options has it

    def answer(self, packet: Packet[Any]) -> Packet[Any]:
        """Return the packet with its value replaced by what the model says of it."""
        feed = self._decoder.feed(packet.value, into=self._session.into)
        value = self._decoder.decode(self._session.run(), feed)
        return packet._replace(value=value, trail=(*packet.trail, self.hop))


class Recurrent(Variant):
    """One that carries state from packet to packet, zeroed where the stream was interrupted."""

    def __init__(
        self,
        hop: Hop,
        session: Session,
        decoder: Decoder[Any, Any, Any],
        carried: Mapping[str, str],
    ) -> None:
        super().__init__(hop, session, decoder)
        self._state = [(output, session.into[name]) for output, name in carried.items()]
        self._into = {n: a for n, a in session.into.items() if n not in carried.values()}
        self._continuity = Continuity()

    def restart(self) -> None:
        """Forget what was carried from earlier packets: they were answered by another variant."""
        self._continuity = Continuity()

    def answer(self, packet: Packet[Any]) -> Packet[Any]:
        """Return the packet with its value replaced by what the model says of it.

        Raises:
            BadPacket: the state is no longer finite, and would never be again; it is zeroed.
        """
        if self._continuity.broken(packet):
            for _, state in self._state:
                state.fill(0)
        feed = self._decoder.feed(packet.value, into=self._into)
        outputs = self._session.run()
        for output, state in self._state:
            state[...] = outputs[output]
            if not np.isfinite(state).all():
                self.restart()
                raise BadPacket(
                    f"the model gave a state '{output}' that is not finite, and begins anew",
                    reason="not_finite",
                )
        value = self._decoder.decode(outputs, feed)
        return packet._replace(value=value, trail=(*packet.trail, self.hop))


@contextmanager
def opened(
    ladder: Ladder, rung: int, context: Context, pool: Pool, *, runs: int = 1
) -> Iterator[Variant]:
    """Lease a rung's session, build its decoder and run the model so often.

    Raises:
        ValueError: the file is no usable model, or not one for this decoder; says why.
    """
    variant = ladder.variants[rung]
    decoder: Decoder[Any, Any, Any] = ladder.plugin.factory(variant.options, context)

    def look(inputs: TensorSpecs, outputs: TensorSpecs) -> Tensors:
        return first_tensors(decoder, ladder.carry, inputs, outputs)

    with pool.lease(variant.file, look) as session:
        outputs = session.warm_up(runs)
        hop = Hop(context.id, ladder.plugin.name, variant.name, rung)
        if not ladder.carry:
            yield Variant(hop, session, decoder)
            return
        for output, name in ladder.carry.items():
            given, taken = outputs[output].shape, session.into[name].shape
            if given != taken:
                raise ValueError(
                    f"'{variant.file.name}' gives '{output}' as {list(given)}, but takes '{name}' "
                    f"as {list(taken)}"
                )
        yield Recurrent(hop, session, decoder, ladder.carry)
