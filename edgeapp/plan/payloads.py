"""What annotations say about payloads, and whether one stage's payloads fit the next."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from functools import reduce
from types import NoneType, UnionType
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin

from edgeapp.core.packet import At
from edgeapp.core.payload import Payload

Alternative: TypeAlias = Any
"""A payload class, or a TypeVar that stands for one."""

_FIRST_ARGUMENT = (
    At,
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Sequence,
    list,
)


def taken(annotation: Any) -> Any:
    """The payload type in an annotation of what a stage reads.

    Raises:
        ValueError: it is no payload.
    """
    if annotation is Any or annotation is object:
        return Payload
    return joined(_alternatives(annotation, ()))


def given(annotation: Any) -> Any:
    """The payload type in an annotation of what a stage returns: one, none or several.

    Raises:
        ValueError: it is no payload.
    """
    return joined(_alternatives(annotation, _FIRST_ARGUMENT))


def joined(alternatives: Sequence[Alternative]) -> Any:
    """One type, or the union of several.

    Raises:
        ValueError: there is none.
    """
    if not alternatives:
        raise ValueError("names no payload")
    return reduce(lambda left, right: Union[left, right], alternatives)  # noqa: UP007 - of values


def _alternatives(annotation: Any, wrappers: tuple[Any, ...]) -> tuple[Alternative, ...]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is NoneType:
        return ()
    if origin is Union or origin is UnionType:
        parts = [_alternatives(argument, wrappers) for argument in arguments]
        return tuple(dict.fromkeys(one for part in parts for one in part))
    if origin in wrappers:
        return _alternatives(arguments[0], wrappers)
    if origin is tuple and wrappers:
        parts = [_alternatives(argument, wrappers) for argument in arguments if argument != ...]
        return tuple(dict.fromkeys(one for part in parts for one in part))
    if isinstance(annotation, TypeVar) or (
        isinstance(annotation, type) and issubclass(annotation, Payload)
    ):
        return (annotation,)
    raise ValueError(f"{name_of(annotation)} is no payload")


def alternatives(payload: Any) -> tuple[Alternative, ...]:
    """The single types of a union; a type on its own is one of one."""
    return get_args(payload) if get_origin(payload) in {Union, UnionType} else (payload,)


def after(takes: Any, gives: Any, incoming: Any) -> Any:
    """What a stage gives when it reads `incoming`: a TypeVar stands for what came in."""
    into = {one for one in alternatives(takes) if isinstance(one, TypeVar)}
    out: list[Alternative] = []
    for one in alternatives(gives):
        out.extend(alternatives(incoming) if one in into else [one])
    return joined(tuple(dict.fromkeys(out)))


def misfits(incoming: Any, takes: Any) -> tuple[Alternative, ...]:
    """Which of the incoming types a stage cannot read; none when all fit."""
    wanted = [bound for one in alternatives(takes) for bound in _bounds(one)]
    return tuple(
        one
        for one in alternatives(incoming)
        if not any(issubclass(bound, want) for bound in _bounds(one) for want in wanted)
    )


def _bounds(one: Alternative) -> tuple[type, ...]:
    """The classes that a type stands for; a free TypeVar stands for any payload."""
    if not isinstance(one, TypeVar):
        return (one,)
    if one.__constraints__:
        return one.__constraints__
    bound = one.__bound__ or Payload
    return tuple(alternatives(Payload if bound is object else bound))


def classes_of(payload: Any) -> tuple[type, ...]:
    """The classes that a type stands for, one after the other."""
    return tuple(bound for one in alternatives(payload) for bound in _bounds(one))


def name_of(payload: Any) -> str:
    """A type in words: "Image", "Image, Score or Signal", "any payload"."""
    names = [
        "any payload"
        if bound is Payload
        or (isinstance(one, TypeVar) and not one.__constraints__ and not one.__bound__)
        else getattr(bound, "__name__", str(bound))
        for one in alternatives(payload)
        for bound in _bounds(one)
    ]
    # Sorted: `typing` keeps one object for all unions of the same types, whatever their order.
    *others, last = sorted(set(names))
    return f"{', '.join(others)} or {last}" if others else last
