"""What a rule is made of once it is read, and the error that says where one is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


class RuleError(ValueError):
    """A rule is wrong at one spot of its text."""

    def __init__(self, problem: str, offset: int, width: int = 1, remedy: str = "") -> None:
        """Say what is wrong; `offset` counts characters from 0, `width` those to underline."""
        super().__init__(problem)
        self.problem = problem
        self.offset = offset
        self.width = max(1, width)
        self.remedy = remedy

    def __str__(self) -> str:
        """The problem, where it is within the rule, and what to do."""
        said = f"{self.problem} (character {self.offset + 1} of the rule)"
        return f"{said}; {self.remedy}" if self.remedy else said


@dataclass(frozen=True, slots=True)
class Constant:
    """A number (always a float), a text, or true and false."""

    value: float | str | bool
    at: int
    """Offset of its first character."""
    width: int


@dataclass(frozen=True, slots=True)
class Name:
    """A field; with a key where the field is a table of values."""

    name: str
    key: str | None
    at: int
    width: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `FUNCTIONS`."""

    function: str
    arguments: "tuple[Tree, ...]"
    at: int
    width: int


@dataclass(frozen=True, slots=True)
class Negative:
    """A minus sign before a number."""

    of: "Tree"
    at: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left sign right`, of numbers."""

    sign: str
    left: "Tree"
    right: "Tree"
    at: int
    """Of the sign."""
    width: int = 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left sign right`; a chain is several of these, joined by `and`."""

    sign: str
    left: "Tree"
    right: "Tree"
    at: int
    """Of the sign."""
    width: int


@dataclass(frozen=True, slots=True)
class Among:
    """`of in [...]`."""

    of: "Tree"
    choices: tuple[Constant, ...]
    at: int
    """Of the word `in`."""
    width: int = 2


@dataclass(frozen=True, slots=True)
class Not:
    """`not of`."""

    of: "Tree"
    at: int
    width: int = 3


@dataclass(frozen=True, slots=True)
class Joined:
    """Several, all joined by `and`, or all by `or`."""

    word: str
    parts: "tuple[Tree, ...]"
    at: int
    width: int


Tree: TypeAlias = Constant | Name | Call | Negative | Arithmetic | Comparison | Among | Not | Joined


def parts(tree: Tree) -> Iterator[Tree]:
    """A rule and all that it is made of, in its order."""
    yield tree
    match tree:
        case Negative() | Not() | Among():
            yield from parts(tree.of)
        case Arithmetic() | Comparison():
            yield from parts(tree.left)
            yield from parts(tree.right)
        case Joined():
            for part in tree.parts:
                yield from parts(part)
        case Call():
            for argument in tree.arguments:
                yield from parts(argument)


def name_of(part: Tree) -> str | None:
    """The field that a part reads, if it does."""
    if isinstance(part, Name):
        return part.name
    return "count" if isinstance(part, Call) and part.function == "count" else None


def texts_of(part: Tree) -> tuple[str, tuple[str, ...]] | None:
    """A field, and its keys or the texts that it is compared with; None for other parts."""
    match part:
        case Name(name=name, key=str(key)):
            return name, (key,)
        case Call(function="count", arguments=(Constant(value=str(label)),)):
            return "count", (label,)
        case Comparison(left=Name(name=name), right=Constant(value=str(text))):
            return name, (text,)
        case Comparison(left=Constant(value=str(text)), right=Name(name=name)):
            return name, (text,)
        case Among(of=Name(name=name), choices=choices):
            return name, tuple(c.value for c in choices if isinstance(c.value, str))
    return None
