"""The check of a rule: which names it may use, and what is a number, a text, or true or false."""

import operator
from collections.abc import Callable, Mapping
from math import isfinite, nan
from typing import assert_never

from edgeapp.document.words import nearest
from edgeapp.rules.fields import Kind, RuleField, Scope, number
from edgeapp.rules.syntax import FUNCTIONS
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
    RuleError,
    Tree,
    name_of,
    parts,
)

_WORDS: Mapping[Kind, str] = {
    "number": "a number",
    "text": "a text",
    "truth": "true or false",
    "any": "a fact",
}
ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}


def check(tree: Tree, scope: Scope) -> None:
    """Check names and types.

    Raises:
        RuleError: a name is unknown, a type is wrong, or something is divided by zero.
    """
    _Types(scope).want(tree, "truth")


def check_term(tree: Tree, scope: Scope) -> None:
    """Check names and types of what need not be a question: a number, a text or a fact will do.

    Raises:
        RuleError: as of `check`; or it names no field, so that it is the same for all packets.
    """
    _Types(scope).kind(tree)
    if not any(name_of(part) for part in parts(tree)):
        raise RuleError("this is the same for all packets", tree.at, tree.width, "name a field")


class _Types:
    """What each part of a rule is."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._fields: dict[str, RuleField] = {}
        for table in scope.tables.values():
            for name, field in table.items():
                self._fields.setdefault(name, field)

    def want(self, tree: Tree, kind: Kind) -> None:
        found = self.kind(tree)
        if found in {kind, "any"}:
            return
        what = f"'{tree.name}'" if isinstance(tree, Name) else "this"
        problem = f"{what} is {_WORDS[found]}, where {_WORDS[kind]} is wanted"
        remedy = "compare it, as in score > 0.5" if kind == "truth" and found == "number" else ""
        if kind == "truth" and found == "text":
            remedy = 'compare it, as in label == "person"'
        raise RuleError(problem, tree.at, tree.width, remedy)

    def kind(self, tree: Tree) -> Kind:
        match tree:
            case Constant():
                return kind_of(tree)
            case Name():
                return self._name(tree)
            case Call():
                self._call(tree)
                return "number"
            case Negative():
                self.want(tree.of, "number")
                return "number"
            case Arithmetic():
                self._arithmetic(tree)
                return "number"
        self._truth(tree)
        return "truth"

    def _truth(self, tree: Comparison | Among | Not | Joined) -> None:
        match tree:
            case Comparison():
                self._comparison(tree)
            case Among():
                self._among(tree)
            case Not():
                self.want(tree.of, "truth")
            case Joined():
                for part in tree.parts:
                    self.want(part, "truth")
            case _:
                assert_never(tree)

    def _name(self, tree: Name) -> Kind:
        field = self._fields.get(tree.name)
        if field is None:
            near = nearest(tree.name, self._fields)
            remedy = f"did you mean '{near}'?" if near else f"Fields: {', '.join(self._fields)}"
            if tree.name in FUNCTIONS:
                remedy = f"'{tree.name}' is a function: write {tree.name}(...)"
            problem = f"{self._scope.noun} has no field '{tree.name}'"
            raise RuleError(problem, tree.at, tree.width, remedy)
        if tree.key is None and field.at is not None:
            remedy = f'write {tree.name}["..."]'
            raise RuleError(f"'{tree.name}' needs a key", tree.at, tree.width, remedy)
        if tree.key is not None and field.at is None:
            remedy = f"write {tree.name}"
            raise RuleError(f"'{tree.name}' has no keys", tree.at, tree.width, remedy)
        return field.kind

    def _call(self, tree: Call) -> None:
        several = len(tree.arguments)
        if tree.function == "count":
            field = self._fields.get("count")
            if field is None or field.of is None:
                problem = f"{self._scope.noun} has no count"
                raise RuleError(problem, tree.at, tree.width)
            label = tree.arguments[0]
            if several != 1 or not isinstance(label, Constant) or kind_of(label) != "text":
                remedy = 'such as count("person")'
                raise RuleError("count() takes one text", tree.at, tree.width, remedy)
            return
        if (several == 1) != (tree.function == "abs"):
            wanted = "one number" if tree.function == "abs" else "several numbers"
            raise RuleError(f"{tree.function}() takes {wanted}", tree.at, tree.width)
        for argument in tree.arguments:
            self.want(argument, "number")

    def _arithmetic(self, tree: Arithmetic) -> None:
        self.want(tree.left, "number")
        self.want(tree.right, "number")
        if tree.sign in {"/", "%"} and constant_of(tree.right) == 0:
            raise RuleError("this divides by zero", tree.at, tree.width)
        value = constant_of(tree)
        if value is not None and not isfinite(value):
            raise RuleError("this is too large", tree.at, tree.width)

    def _comparison(self, tree: Comparison) -> None:
        if tree.sign not in {"==", "!="}:
            self.want(tree.left, "number")
            self.want(tree.right, "number")
            return
        left, right = self.kind(tree.left), self.kind(tree.right)
        if left == right == "any":
            problem = "two facts cannot be compared with each other"
            raise RuleError(problem, tree.at, tree.width, "compare each with a number or a text")
        if left != right and "any" not in {left, right}:
            problem = f"{_WORDS[left]} is compared with {_WORDS[right]}, which is never equal"
            raise RuleError(problem, tree.at, tree.width)

    def _among(self, tree: Among) -> None:
        kind = kind_of(tree.choices[0])
        for choice in tree.choices[1:]:
            self.want(choice, kind)
        self.want(tree.of, kind)


def kind_of(constant: Constant) -> Kind:
    """What a constant is."""
    if isinstance(constant.value, bool):
        return "truth"
    return "text" if isinstance(constant.value, str) else "number"


def constant_of(tree: Tree) -> float | None:
    """The number that a part of a rule always is; None where a packet decides."""
    if isinstance(tree, Constant):
        return number(tree.value)
    if isinstance(tree, Negative):
        value = constant_of(tree.of)
        return None if value is None else -value
    if isinstance(tree, Arithmetic):
        left, right = constant_of(tree.left), constant_of(tree.right)
        if left is not None and right is not None:
            return calculate(ARITHMETIC[tree.sign], left, right)
    return None


def calculate(operate: Callable[[float, float], float], left: float, right: float) -> float:
    """A sum, a product and the like; not-a-number where something is divided by zero."""
    try:
        return operate(left, right)
    except ZeroDivisionError:
        return nan
