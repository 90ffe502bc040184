# The methods are never called, so they have no bodies.
# mypy: disable-error-code="empty-body"
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from edgeapp.api import (
    At,
    Context,
    Detections,
    Emit,
    Field,
    Image,
    Message,
    Options,
    Packet,
    Payload,
    PluginError,
    Score,
    Signal,
    Tensors,
    TensorSpecs,
    action,
    model,
    output,
    source,
    transform,
)
from edgeapp.plan.registry import register

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T", bound=Payload)
U = TypeVar("U", bound=Payload)


class No(Options):
    """No options."""


class Base:
    def __init__(self, options: No, context: Context) -> None:
        pass


def refused(cls: type[Any]) -> str:
    """What is wrong with a class, behind the plugin's name and file."""
    with pytest.raises(PluginError) as caught:
        register(cls)
    return str(caught.value)


def test_a_source_gives_what_its_emit_takes() -> None:
    @source("mic")
    class Mic(Base):
        """Sound."""

        def run(self, emit: Emit[Signal], /) -> None: ...

    plugin = register(Mic)

    assert (plugin.kind, plugin.name, plugin.takes, plugin.gives) == ("source", "mic", None, Signal)
    assert plugin.options is No
    assert plugin.summary == "Sound."
    assert plugin.where == __file__
    assert plugin.live(None)


def test_a_transform_takes_its_packet_and_gives_what_it_returns() -> None:
    @transform("x", stateless=True)
    class X(Base):
        def process(self, packet: Packet[Image | Signal]) -> Iterable[At[Score] | Image]:
            return ()

        def process_many(
            self, packets: Sequence[Packet[Image | Signal]]
        ) -> Sequence[Score | Image | None]:
            return ()

    plugin = register(X)

    assert plugin.takes == Image | Signal
    assert plugin.gives == Score | Image
    assert plugin.stateless
    assert not plugin.is_async


def test_a_type_variable_passes_through() -> None:
    @transform("x")
    class X(Base):
        def process(self, packet: Packet[T]) -> T | None: ...

    plugin = register(X)

    assert plugin.takes is plugin.gives is T


def test_an_async_stage_is_recognised() -> None:
    @transform("x")
    class X(Base):
        async def process(self, packet: Packet[Image]) -> Image:
            return packet.value

    @transform("y")
    class Y(Base):
        async def process(self, packet: Packet[Image]) -> Any: ...

    assert register(X).is_async
    assert "y" in refused(Y)


def test_a_decoder_takes_what_it_feeds_and_gives_what_it_decodes() -> None:
    @model("d")
    class D(Base):
        def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None: ...
        def feed(self, value: Image, /, *, into: Tensors) -> int:
            return 0

        def decode(self, outputs: Tensors, feed: int, /) -> Detections | Score:
            raise NotImplementedError

    plugin = register(D)

    assert (plugin.takes, plugin.gives) == (Image, Detections | Score)


def test_actions_and_outputs_give_nothing() -> None:
    @action("a")
    class A(Base):
        def act(self, packet: Packet[Any]) -> None: ...

    @output("o")
    class O(Base):  # noqa: E742 - a plugin called o
        def encode(self, packet: Packet[Score]) -> Message | None: ...

    assert (register(A).takes, register(A).gives) == (Payload, None)
    assert (register(O).takes, register(O).gives) == (Score, None)


def test_a_mark_is_not_inherited() -> None:
    @transform("x")
    class X(Base):
        def process(self, packet: Packet[Image]) -> Image: ...

    class Y(X):
        pass

    assert "is not marked" in refused(Y)


def test_the_error_names_plugin_file_line_argument_and_what_to_change() -> None:
    @transform("x")
    class X(Base):
        def process(self, packet: Image) -> Image: ...

    line = X.process.__code__.co_firstlineno
    assert refused(X) == (
        f"transform 'x' ({__file__}:{line}): process(): 'packet' must be annotated Packet[...], "
        "such as Packet[Image], not Image"
    )


class _NoRun(Base):
    pass


class _NoArgument(Base):
    def process(self) -> Image: ...


class _NoAnnotation(Base):
    def process(self, packet) -> Image: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - the mistake


class _NoReturn(Base):
    def process(self, packet: Packet[Image]): ...  # type: ignore[no-untyped-def] # noqa: ANN202 - the mistake


class _NoPayload(Base):
    def process(self, packet: Packet[int]) -> Image: ...


class _GivesPackets(Base):
    def process(self, packet: Packet[Image]) -> Packet[Image]: ...


class _GivesNothing(Base):
    def process(self, packet: Packet[Image]) -> None: ...


class _OtherVariable(Base):
    def process(self, packet: Packet[T]) -> U: ...  # type: ignore[type-var] # the mistake


class _Unreadable(Base):
    def process(self, packet: "Packet[Decimal]") -> Image: ...


class _ManyWithMemory(Base):
    def process(self, packet: Packet[Image]) -> Image: ...
    def process_many(self, packets: Sequence[Packet[Image]]) -> Sequence[Image]: ...


class _OptionsOfNoKind:
    def __init__(self, options: int, context: Context) -> None: ...
    def process(self, packet: Packet[Image]) -> Image: ...


class _NoInit:
    def process(self, packet: Packet[Image]) -> Image: ...


class _NoContext:
    def __init__(self, options: No) -> None: ...
    def process(self, packet: Packet[Image]) -> Image: ...


class _Reserved(Options):
    depth: int = Field(1, description="Taken.")


class _ReservedWord:
    def __init__(self, options: _Reserved, context: Context) -> None: ...
    def process(self, packet: Packet[Image]) -> Image: ...


@pytest.mark.parametrize(
    ("cls", "problem"),
    [
        (_NoRun, "a transform needs a method process()"),
        (_NoArgument, "process() needs an argument annotated Packet[...], such as Packet[Image]"),
        (_NoAnnotation, "process(): the argument 'packet' must be annotated, as Packet[...]"),
        (_NoReturn, "process() must say what it returns, such as -> Image | None"),
        (
            _NoPayload,
            "process(): 'packet' must be annotated Packet[...], such as Packet[Image]: int is no payload",
        ),
        (_GivesPackets, "what it returns must be payloads"),
        (_GivesNothing, "what it returns must be payloads, such as Image | None: names no payload"),
        (_OtherVariable, "process() returns ~U, which none of its arguments has"),
        (_Unreadable, "the annotations of process() cannot be read: name 'Decimal' is not defined"),
        (_ManyWithMemory, "process_many() is for stages without memory: mark it stateless=True"),
        (_OptionsOfNoKind, "__init__(): 'options' must be annotated with a subclass of Options"),
        (_NoInit, "it needs __init__(self, options: ...Options, context: Context)"),
        (_NoContext, "__init__() needs an argument annotated Context"),
        (_ReservedWord, "the option 'depth' must be renamed: the word is the framework's own"),
    ],
)
def test_a_broken_contract_is_told_to_the_author(cls: type[Any], problem: str) -> None:
    assert problem in refused(transform("x")(cls))


def test_process_many_must_agree_with_process() -> None:
    @transform("x", stateless=True)
    class Takes(Base):
        def process(self, packet: Packet[Image]) -> Image: ...
        def process_many(self, packets: Sequence[Packet[Signal]]) -> Sequence[Image]: ...

    @transform("y", stateless=True)
    class Gives(Base):
        def process(self, packet: Packet[Image]) -> Image: ...
        def process_many(self, packets: Sequence[Packet[Image]]) -> Sequence[Signal]: ...

    assert "'packets' must be Sequence[Packet[Image]]" in refused(Takes)
    assert "must return what process() returns: Image" in refused(Gives)


def test_what_cannot_be_async_is_refused() -> None:
    @source("s")
    class S(Base):
        async def run(self, emit: Emit[Image], /) -> None: ...

    assert "run() cannot be async: write 'def run'" in refused(S)


def test_an_output_returns_messages() -> None:
    @output("o")
    class O(Base):  # noqa: E742 - a plugin called o
        def encode(self, packet: Packet[Score]) -> Iterator[bytes]: ...

    assert "encode() must be annotated -> Message" in refused(O)


def test_an_output_may_say_the_class_of_its_messages() -> None:
    @output("o")
    class O(Base):  # noqa: E742 - a plugin called o
        priority = "urgent"

        def encode(self, packet: Packet[Score]) -> Message: ...

    assert "priority must be one of critical, normal, bulk" in refused(O)
    O.priority = "bulk"
    assert register(O).kind == "output"


def test_names_of_variants_keys_are_reserved_in_decoders_only() -> None:
    class Named(Options):
        file: str = Field("", description="A file.")

    class Stage:
        def __init__(self, options: Named, context: Context) -> None: ...
        def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None: ...
        def feed(self, value: Image, /, *, into: Tensors) -> None: ...
        def decode(self, outputs: Tensors, feed: None, /) -> Score: ...
        def process(self, packet: Packet[Image]) -> Image: ...

    assert register(transform("x")(Stage)).options is Named
    assert "the option 'file' must be renamed" in refused(model("x")(Stage))
