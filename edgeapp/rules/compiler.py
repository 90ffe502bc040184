"""From a checked rule to closures that answer it.

The answer is True, False, or None where the packet does not say: a field that it does not have, a
number that is none, a division by zero. As in SQL, `None and False` is False, `None or True` is
True, `not None` is None; so a packet matches only when what it says makes the rule true.

Closures are all there is: no text becomes Python code, here or anywhere else.
"""

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from math import nan
from typing import Any, TypeAlias

from edgeapp.rules.fields import Kind, Read, RuleField, number
from edgeapp.rules.tree import (
    Among,
    Arithmetic,
    Call,
    Comparison,
    Constant,
    Joined,
    Name,
    Negative,
    Not,
    Tree,
)
from edgeapp.rules.types import ARITHMETIC, calculate, constant_of, kind_of

Test: TypeAlias = Callable[[Any], bool | None]

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def compiled(tree: Tree, fields: Mapping[str, RuleField]) -> Test:
    """What answers a checked rule; `fields` are those of the payload that it is asked about.

    What it returns never raises, and gives True, False or None.
    """
    return _Compiler(fields).truth(tree)


def term(tree: Tree, fields: Mapping[str, RuleField]) -> Read:
    """What reads a checked term; None where the packet does not say. Never raises."""
    return _Compiler(fields).term(tree)


class _Compiler:
    """Makes the parts of a rule callable, each as the kind that is wanted of it."""

    def __init__(self, fields: Mapping[str, RuleField]) -> None:
        self._fields = fields

    def kind(self, tree: Tree) -> Kind:
        """What a part is; of a checked tree. A field that this payload lacks is "any"."""
        match tree:
            case Constant():
                return kind_of(tree)
            case Name():
                field = self._fields.get(tree.name)
                return "any" if field is None else field.kind
            case Call() | Negative() | Arithmetic():
                return "number"
            case _:
                return "truth"

    def truth(self, tree: Tree) -> Test:
        match tree:
            case Constant():
                return _always(tree.value)
            case Name():
                return self._name(tree, "truth")
            case Comparison():
                return self._comparison(tree)
            case Among():
                return self._among(tree)
            case Not():
                return _negation(self.truth(tree.of))
            case Joined():
                *others, last = (self.truth(part) for part in tree.parts)
                join = _both if tree.word == "and" else _either
                return reduce(lambda later, one: join(one, later), reversed(others), last)
        raise AssertionError("the tree was checked")

    def term(self, tree: Tree) -> Read:
        if isinstance(tree, Name):
            return _said(self._plain(tree))
        return _said(self._as(self.kind(tree), tree))

    def number(self, tree: Tree) -> Read:
        constant = constant_of(tree)
        if constant is not None:
            return _always(constant)
        match tree:
            case Name():
                return self._name(tree, "number")
            case Call():
                return self._call(tree)
            case Negative():
                return _sign(self.number(tree.of))
            case Arithmetic():
                left, right = self.number(tree.left), self.number(tree.right)
                combine = _divided if tree.sign in {"/", "%"} else _combined
                return combine(ARITHMETIC[tree.sign], left, right)
        raise AssertionError("the tree was checked")

    def _as(self, kind: Kind, tree: Tree) -> Read:
        if kind == "number":
            return self.number(tree)
        if kind == "truth":
            return self.truth(tree)
        if isinstance(tree, Name):
            return self._name(tree, "text")
        assert isinstance(tree, Constant)
        return _always(tree.value)

    def _name(self, tree: Name, wanted: Kind) -> Read:
        field = self._fields.get(tree.name)
        if field is None:
            return _always(nan if wanted == "number" else None)
        read = self._plain(tree)
        return read if field.kind != "any" else _fact(read, wanted)

    def _plain(self, tree: Name) -> Read:
        """What reads a field, of whatever kind it is."""
        field = self._fields.get(tree.name)
        if field is None:
            return _always(None)
        read = field.read if tree.key is None or field.at is None else field.at(tree.key)
        assert read is not None
        return read

    def _call(self, tree: Call) -> Read:
        if tree.function == "count":
            field, label = self._fields.get("count"), tree.arguments[0]
            if field is None or field.of is None or not isinstance(label, Constant):
                return _always(nan)
            return field.of(str(label.value))
        arguments = tuple(self.number(argument) for argument in tree.arguments)
        if tree.function == "abs":
            return _absolute(arguments[0])
        return _extreme(min if tree.function == "min" else max, arguments)

    def _comparison(self, tree: Comparison) -> Test:
        compare = _ORDER[tree.sign]
        kinds = {self.kind(tree.left), self.kind(tree.right)} - {"any"}
        kind = kinds.pop() if kinds else "number"  # of unlike kinds is none: it was checked
        if kind == "number":
            left, constant = self.number(tree.left), constant_of(tree.right)
            if constant is None:
                return _ordered(compare, left, self.number(tree.right))
            return _against(compare, left, constant)
        if isinstance(tree.left, Name) and isinstance(tree.right, Constant):
            equal = _equal(self._plain(tree.left), tree.right.value)
            return equal if tree.sign == "==" else _negation(equal)
        return _same(compare, self._as(kind, tree.left), self._as(kind, tree.right))

    def _among(self, tree: Among) -> Test:
        choices = frozenset(choice.value for choice in tree.choices)
        kind = kind_of(tree.choices[0])
        return _within(self._as(kind, tree.of), choices)


def _always(value: Any) -> Read:
    return lambda _at: value


def _said(read: Read) -> Read:
    """Not-a-number is what a packet does not say, and the same each time: None."""

    def said(at: Any) -> Any:
        value = read(at)
        return value if value == value else None  # noqa: PLR0124 - is it a number?

    return said


def _fact(read: Read, wanted: Kind) -> Read:
    """A fact, where it is of the kind that is wanted."""
    if wanted == "number":
        return lambda at: number(read(at))
    kind = str if wanted == "text" else bool

    def fact(at: Any) -> Any:
        value = read(at)
        return value if isinstance(value, kind) else None

    return fact


def _against(compare: Callable[[Any, Any], bool], read: Read, constant: object) -> Test:
    def test(at: Any) -> bool | None:
        value = read(at)
        return compare(value, constant) if value == value else None  # noqa: PLR0124 - is it a number

    return test


def _ordered(compare: Callable[[Any, Any], bool], left: Read, right: Read) -> Test:
    def test(at: Any) -> bool | None:
        one, two = left(at), right(at)
        return compare(one, two) if one == one and two == two else None  # noqa: PLR0124 - numbers?

    return test


def _same(compare: Callable[[Any, Any], bool], left: Read, right: Read) -> Test:
    def test(at: Any) -> bool | None:
        one, two = left(at), right(at)
        return None if one is None or two is None else compare(one, two)

    return test


def _equal(read: Read, constant: object) -> Test:
    kind = type(constant)

    def test(at: Any) -> bool | None:
        value = read(at)
        return value == constant if isinstance(value, kind) else None

    return test


def _within(read: Read, choices: frozenset[Any]) -> Test:
    def test(at: Any) -> bool | None:
        value = read(at)
        return None if value is None or value != value else value in choices  # noqa: PLR0124 - NaN

    return test


def _negation(of: Test) -> Test:
    def test(at: Any) -> bool | None:
        said = of(at)
        return None if said is None else not said

    return test


def _both(one: Test, two: Test) -> Test:
    def test(at: Any) -> bool | None:
        said = one(at)
        if said:
            return two(at)
        if said is None:
            later = two(at)
            return None if later is None or later else False
        return False

    return test


def _either(one: Test, two: Test) -> Test:
    def test(at: Any) -> bool | None:
        said = one(at)
        if said:
            return True
        later = two(at)
        return later if later or said is not None else None

    return test


def _combined(operate: Callable[[float, float], float], left: Read, right: Read) -> Read:
    return lambda at: operate(left(at), right(at))


def _divided(operate: Callable[[float, float], float], left: Read, right: Read) -> Read:
    return lambda at: calculate(operate, left(at), right(at))


def _sign(of: Read) -> Read:
    return lambda at: -of(at)


def _absolute(of: Read) -> Read:
    return lambda at: abs(of(at))


def _extreme(pick: Callable[[list[float]], float], reads: tuple[Read, ...]) -> Read:
    def extreme(at: Any) -> float:
        values = [read(at) for read in reads]
        return pick(values) if all(value == value for value in values) else nan  # noqa: PLR0124

    return extreme
