"""The language of rules: from text to a small tree, or to what is wrong and where.

The grammar is the allow-list. What it does not name cannot be written: no attributes, no calls but
those of `FUNCTIONS`, no power, no text arithmetic, no lambda, comprehension, assignment or import.

    rule       = both {"or" both}
    both       = negated {"and" negated}
    negated    = "not" negated | comparison
    comparison = sum {("<" | "<=" | ">" | ">=" | "==" | "!=") sum | ["not"] "in" list}
    sum        = product {("+" | "-") product}
    product    = signed {("*" | "/" | "%") signed}
    signed     = "-" signed | atom
    atom       = number | text | "true" | "false" | name | name "[" text "]"
               | function "(" sum {"," sum} ")" | "(" rule ")"
    list       = "[" constant {"," constant} "]"

Precedence is Python's. Text stands in single or double quotes and knows no escapes. Length, parts
and depth are bounded, so that neither the parser nor what is compiled can run out of stack.
"""

import re
from dataclasses import dataclass

from edgeapp.document.words import did_you_mean
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
)

MAX_LENGTH = 1000
"""Characters of a rule."""
MAX_TOKENS = 200
MAX_DEPTH = 20
"""Brackets, `not` and minus signs, one within the other."""
MAX_DIGITS = 30
"""Of a number."""

FUNCTIONS = ("abs", "count", "max", "min")


def parse(text: str) -> Tree:
    """The tree of a rule.

    Raises:
        RuleError: it is none; says where.
    """
    if len(text) > MAX_LENGTH:
        problem = f"a rule has at most {MAX_LENGTH} characters, not {len(text)}"
        raise RuleError(problem, MAX_LENGTH, 1, "divide it among several stages")
    return _Parser(text).whole()


_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*(?!\w))"
    r"|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign><=|>=|==|!=|[-+*/%<>()\[\],])",
)
_COMPARING = frozenset({"<", "<=", ">", ">=", "==", "!="})
_WORDS = frozenset({"and", "or", "not", "in"})
_TRUTHS = {"true": True, "True": True, "false": False, "False": False}
_OPENING = {"(": ")", "[": "]"}

_INSTEAD = (
    ("**", "there is no power in rules", "multiply instead"),
    ("//", "there is no '//' in rules", "divide with '/'"),
    ("&", "'&' is not part of rules", "write 'and'"),
    ("|", "'|' is not part of rules", "write 'or'"),
    ("!", "'!' is not part of rules", "write 'not', or '!=' to compare"),
    ("=", "'=' is not part of rules", "write '==' to compare"),
    (".", "'.' is not part of rules", "a field is a single word, such as score"),
    ("{", "'{' is not part of rules", "a list stands in '[' and ']'"),
    (":", "':' is not part of rules", ""),
    ("\\", "'\\' is not part of rules", ""),
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """number, word, text, sign, or "" at the end."""
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        for written, problem, remedy in _INSTEAD[:2]:
            if text.startswith(written, at):
                raise RuleError(problem, at, len(written), remedy)
        match = _TOKEN.match(text, at)
        if match is None:
            raise _strange(text, at)
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match[0], at))
            if len(tokens) > MAX_TOKENS:
                problem = f"a rule has at most {MAX_TOKENS} words and signs"
                raise RuleError(problem, at, len(match[0]), "divide it among several stages")
        at = match.end()
    tokens.append(_Token("", "", len(text.rstrip())))
    return tokens


def _strange(text: str, at: int) -> RuleError:
    """What is wrong with a character that begins nothing."""
    char = text[at]
    if char in "\"'":
        remedy = "close it; if it holds ' #', put the whole rule into the other quotes"
        return RuleError("this text is not closed", at, len(text) - at, remedy)
    for written, problem, remedy in _INSTEAD:
        if text.startswith(written, at):
            return RuleError(problem, at, 2 if text.startswith(written * 2, at) else 1, remedy)
    if char.isdigit():
        return RuleError("this is no number", at, 1, "write it like 12, 0.5 or 1e-3")
    if char.isalpha() or char == "_":
        return RuleError("names have the letters a to z only", at, 1)
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return RuleError(f"'{shown}' is not part of rules", at)


class _Parser:
    """Reads one rule, from left to right."""

    def __init__(self, text: str) -> None:
        self._left = iter(_tokens(text))
        self._next = next(self._left)
        self._depth = 0

    def whole(self) -> Tree:
        tree = self._or()
        if self._next.kind:
            raise self._expected("'and' or 'or'")
        return tree

    # -- tokens -----------------------------------------------------------------------------

    def _take(self) -> _Token:
        token, self._next = self._next, next(self._left, self._next)
        return token

    def _is(self, *texts: str) -> bool:
        return self._next.kind in {"sign", "word"} and self._next.text in texts

    def _expected(self, what: str) -> RuleError:
        token = self._next
        if not token.kind:
            remedy = "inside { } or where it holds ' #' or ': ', the rule must stand in quotes"
            return RuleError(f"the rule ends where {what} should follow", token.at, 1, remedy)
        problem = f"{what} should stand here, not {token.text}"
        return RuleError(problem, token.at, len(token.text))

    def _close(self, sign: str) -> _Token:
        if not self._is(sign):
            raise self._expected(f"'{sign}'")
        return self._take()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            problem = f"this is nested more than {MAX_DEPTH} levels deep"
            raise RuleError(problem, self._next.at, len(self._next.text))

    # -- grammar ----------------------------------------------------------------------------

    def _or(self) -> Tree:
        parts = [self._and()]
        first = self._next
        while self._is("or"):
            self._take()
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Joined("or", tuple(parts), first.at, 2)

    def _and(self) -> Tree:
        parts = [self._not()]
        first = self._next
        while self._is("and"):
            self._take()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else Joined("and", tuple(parts), first.at, 3)

    def _not(self) -> Tree:
        if not self._is("not"):
            return self._comparison()
        self._deeper()
        token = self._take()
        negated = Not(self._not(), token.at)
        self._depth -= 1
        return negated

    def _comparison(self) -> Tree:
        left = self._sum()
        parts: list[Tree] = []
        first = self._next
        while self._is(*_COMPARING, "in", "not"):
            token = self._take()
            if token.text in {"in", "not"}:
                parts.append(self._among(left, token))
                break
            right = self._sum()
            parts.append(Comparison(token.text, left, right, token.at, len(token.text)))
            left = right
        if not parts:
            return left
        return parts[0] if len(parts) == 1 else Joined("and", tuple(parts), first.at, 1)

    def _among(self, left: Tree, token: _Token) -> Tree:
        if token.text == "not":
            if not self._is("in"):
                raise self._expected("'in'")
            return Not(self._among(left, self._take()), token.at)
        if not self._is("["):
            raise self._expected("a list, such as [1, 2]")
        self._take()
        choices = [self._constant()]
        while self._is(","):
            self._take()
            choices.append(self._constant())
        self._close("]")
        return Among(left, tuple(choices), token.at)

    def _sum(self) -> Tree:
        left = self._product()
        while self._is("+", "-"):
            sign = self._take()
            left = Arithmetic(sign.text, left, self._product(), sign.at)
        return left

    def _product(self) -> Tree:
        left = self._signed()
        while self._is("*", "/", "%"):
            sign = self._take()
            left = Arithmetic(sign.text, left, self._signed(), sign.at)
        return left

    def _signed(self) -> Tree:
        if not self._is("-"):
            return self._atom()
        self._deeper()
        token = self._take()
        negative = Negative(self._signed(), token.at)
        self._depth -= 1
        return negative

    def _atom(self) -> Tree:
        token = self._next
        if token.kind in {"number", "text"} or (token.kind == "word" and token.text in _TRUTHS):
            return self._constant()
        if self._is("("):
            self._deeper()
            self._take()
            tree = self._or()
            self._close(")")
            self._depth -= 1
            return tree
        if token.kind == "word" and token.text not in _WORDS:
            self._take()
            if self._is("("):
                return self._call(token)
            return self._key(token) if self._is("[") else _name(token)
        raise self._expected("a field, a number or a text")

    def _constant(self) -> Constant:
        """A number, with its minus sign where a list holds it; a text; true or false."""
        token, sign = self._next, 1.0
        if self._is("-"):
            self._take()
            sign = -1.0
        told = self._next
        if told.kind == "number":
            self._take()
            width = told.at + len(told.text) - token.at
            return Constant(sign * _number(told), token.at, width)
        if sign > 0 and (told.kind == "text" or (told.kind == "word" and told.text in _TRUTHS)):
            self._take()
            value = told.text[1:-1] if told.kind == "text" else _TRUTHS[told.text]
            return Constant(value, told.at, len(told.text))
        raise self._expected("a number or a text")

    def _call(self, token: _Token) -> Call:
        if token.text not in FUNCTIONS:
            remedy = did_you_mean(token.text, FUNCTIONS, heading="Functions")
            problem = f"there is no function '{token.text}'"
            raise RuleError(problem, token.at, len(token.text), remedy)
        self._deeper()
        self._take()
        arguments = [self._sum()]
        while self._is(","):
            self._take()
            arguments.append(self._sum())
        self._close(")")
        self._depth -= 1
        return Call(token.text, tuple(arguments), token.at, len(token.text))

    def _key(self, token: _Token) -> Name:
        self._take()
        if self._next.kind != "text":
            raise self._expected('a key in quotes, such as "x.rms"')
        key = self._take().text[1:-1]
        end = self._close("]")
        return Name(token.text, key, token.at, end.at + 1 - token.at)


def _name(token: _Token) -> Name:
    return Name(token.text, None, token.at, len(token.text))


def _number(token: _Token) -> float:
    if len(token.text) > MAX_DIGITS:
        raise RuleError(f"a number has at most {MAX_DIGITS} digits", token.at, len(token.text))
    number = float(token.text)
    if number == float("inf"):
        raise RuleError("this number is too large", token.at, len(token.text))
    return number
