"""The protocols that plugins implement. Annotations on the methods are the contract.

Every stage is built as `Plugin(options, context)`, opened with `with` if it is a context manager,
used and closed, all on one thread. Optional methods, found by name:

- `process_many(packets) -> Sequence[Out | None]` on a transform: one call for a burst, one result
  for each packet; only for a stage without memory. If it raises, the packets are retried singly.
- `flush() -> Iterable[Out]` on a transform: what is still open when the stream ends.
- `initial(inputs: TensorSpecs) -> Tensors` on a decoder: what input tensors hold at first, such as
  constants, as arrays of their shape and element type. It closes dimensions that the model leaves
  open. Called after `accept`. Inputs not named are zeros, and of their open dimensions only the
  first may be there: a batch of 1.
- `remember() -> object` and `recall(memory) -> None` on any stage but a source: what it knows, for
  the stage that takes its place when the pipeline is reloaded. Asked instead of `flush`, before it
  is closed; `recall` is called on the new one once that is open, before its first packet. Only where
  id, plugin, options (but for those marked `Live`) and the types of what it reads are the same.
  Plain data: None, numbers, text, bytes, payloads, arrays, and tuples, lists, sets and dicts of
  such. A stage that raises in one of them starts afresh, and its events are ended.
- `acknowledge() -> str` on a transform whose alarms a person confirms: somebody has seen it. Called
  between two packets, on the thread of the stage; returns a sentence on what that did.
- `tune(options) -> None` on any stage but a source, or on a decoder, whose options have one marked
  `Live`: take over the values of those. Called between two packets, on the thread of the stage.
- `deliver(sealed: bytes) -> None` on an output that is its own destination, such as a file.
- `priority` on an output, an attribute of the class: the class of its messages where the pipeline
  file names none, such as "bulk" for pictures.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from edgeapp.core.message import Message
from edgeapp.core.packet import At, Packet

In = TypeVar("In")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)
AnyFeed = TypeVar("AnyFeed")


class Emit(Protocol[In_contra]):
    """Hands one value into the pipeline; the source's only way in."""

    def __call__(
        self, value: In_contra, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
    ) -> None:
        """Emit a value.

        `t_ns`: stream time of capture, never going back; None means now, by the context's clock.
        `lost`: values that were lost before this one, such as an overrun of the device.

        Raises:
            Stopping: the pipeline stops; let it pass.
        """


class Source(Protocol[Out_co]):
    """Where packets begin."""

    def run(self, emit: Emit[Out_co], /) -> None:
        """Emit until the stream ends; return then.

        Called on the source's own thread, once for each epoch. Raise Unavailable when the device
        is gone: the source is then rebuilt and run again, with backoff.
        """


class Transform(Protocol[In, Out_co]):
    """A step without effect on the world: it may be skipped, retried and rebuilt."""

    def process(
        self, packet: Packet[In], /
    ) -> "Out_co | At[Out_co] | Iterable[Out_co | At[Out_co]] | None":
        """Return one value, none, or several.

        One value keeps the packet's `part`; an iterable is numbered anew. Wrap a value in `At` to
        give it a stream time of its own. Called on the lane thread.
        """


class Action(Protocol[In]):
    """Touches the device: at most once for each packet, in order."""

    def act(self, packet: Packet[In], /) -> None:
        """Act. Called on the pipeline's "hands" thread; may block, within `timeout_s`."""


class Output(Protocol[In]):
    """Says what to send. The uplink sends it."""

    def encode(self, packet: Packet[In], /) -> Message | None:
        """The message for a packet, or None for silence. Pure; called on the lane thread."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and element type of a model's input or output.

    `shape`: None where the model leaves a dimension open. `dtype`: numpy's name of it.
    """

    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        """As people read it: "[1, ?, 64] float32"."""
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"[{sizes}] {self.dtype}"

    def fits(self, array: NDArray[Any]) -> bool:
        """Whether an array has this type, and this shape where it is not open."""
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(n in {None, size} for n, size in zip(self.shape, array.shape, strict=True))
        )


TensorSpecs = Mapping[str, TensorSpec]
Tensors = Mapping[str, NDArray[Any]]


class Decoder(Protocol[In_contra, AnyFeed, Out_co]):
    """Between payloads and tensors. Pure: the core owns the session, variants, state and timing.

    Built once for each variant, as `Decoder(options, context)`. What the pipeline says to `carry`
    from run to run is the core's: `accept`, `initial` and `feed` do not see it.
    """

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        """Look at the model before it is used, once.

        Raises:
            ValueError: this decoder cannot use that model; says why and what it expects.
        """

    def feed(self, value: In_contra, /, *, into: Tensors) -> AnyFeed:
        """Write the input tensors (preallocated, C-contiguous) and return what `decode` needs."""

    def decode(self, outputs: Tensors, feed: AnyFeed, /) -> Out_co:
        """Turn the model's outputs into a payload. The outputs are valid during the call only."""
