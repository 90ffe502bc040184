"""Any text at all is a rule that answers, or a complaint with a line and a column."""

import builtins
import json
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.api import Chooser, DetectionRule, Detections, Matcher, Rule, Score
from edgeapp.document.reader import read
from edgeapp.document.spots import place_within
from edgeapp.document.tree import Scalar, Table
from edgeapp.document.words import nearest
from edgeapp.errors import ConfigError, Place
from edgeapp.rules.fields import PACKETS, SINGLE
from edgeapp.rules.tree import RuleError
from edgeapp.testing.stage import LogBook
from tests.rules.samples import VALUES, packet

# -- making them --------------------------------------------------------------------------------

FIELDS = sorted({name for s in (PACKETS, SINGLE) for table in s.tables.values() for name in table})
KEYED = ('parts["t2"]', 'values["x.rms"]', 'scores["dog"]', 'areas["weeds"]', 'facts["zone"]')
STRANGE = [
    *"()[]{}.,:;!?@#$%^&*+-=/\\|~`'\"<> \t\n\r\0_",
    *("**", "//", ":=", "->", "<<", ">>", "==", "!=", "<=", ">=", "&&", "||", "...", "=>"),
    *(".__class__", "__import__('os')", "lambda:", "lambda x: x", "if", "else", "for x in", "is"),
    *("import os", "exec(", "eval('1')", "f'{value}'", "b''", "None", "await", "yield", "1j"),
    *(
        "é",
        "ß",
        "\u202e",
        "\U0001f600",
        "\u2028",
        "\x85",
        "\ufeff",
        "\U0001d42falue",
        "\u0661",
        "½",
        "　",
    ),
    *("1e999", "9" * 40, "0x1f", "1_0", "00", ".", "1.", ".5", "1e", "1e-", "-0", "inf", "nan"),
    *("{}.format", "%s", "'a' * 9", '"' * 3, "'" * 3, "\\x41", "\\", "# x", "% 0", "/ 0"),
]
WORDS = [
    *FIELDS,
    *KEYED,
    "and",
    "or",
    "not",
    "in",
    "true",
    "False",
    "min(",
    "max(",
    "abs(",
    "count(",
]


class Maker:
    """Makes rules: right ones by the grammar, broken ones of those, and mere soup."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def text(self) -> str:
        how = self.chance.random()
        if how < 0.35:
            return self.truth(3)
        if how < 0.75:
            return self.broken(self.truth(2))
        return self.soup()

    def truth(self, deep: int) -> str:
        pick, chance = self.chance.choice, self.chance.random()
        if deep and chance < 0.35:
            return f"{self.truth(deep - 1)} {pick(('and', 'or'))} {self.truth(deep - 1)}"
        if deep and chance < 0.5:
            return pick(("not {}", "({})", "not ({})")).format(self.truth(deep - 1))
        if chance < 0.55:
            return pick(("ready", "true", "false", 'facts["armed"]'))
        if chance < 0.7:
            sign = pick(("==", "!="))
            return f'{pick(("label", "phase", "kind", KEYED[4]))} {sign} "{pick(("dog", "new"))}"'
        if chance < 0.8:
            return f"{self.number(1)} {pick(('in', 'not in'))} [1, {pick(('2', '-2.5'))}]"
        signs = [pick(("<", "<=", ">", ">=", "==", "!=")) for _ in range(pick((1, 1, 1, 2)))]
        return self.number(deep) + "".join(f" {sign} {self.number(1)}" for sign in signs)

    def number(self, deep: int) -> str:
        pick, chance = self.chance.choice, self.chance.random()
        if not deep or chance < 0.5:
            plain = ("value", "score", "count", "lost", "duration_s", "x_m", "rung", "progress")
            return pick((pick(plain), pick(KEYED), str(round(self.chance.gauss(0, 3), 2)), "0"))
        inner = self.number(deep - 1), self.number(deep - 1)
        if chance < 0.8:
            return f"{inner[0]} {pick('+-*/%')} {inner[1]}"
        shapes = ("abs({0})", "min({0}, {1})", "max({1}, {0}, 2)", "({0})", "-{1}", 'count("dog")')
        return pick(shapes).format(*inner)

    def broken(self, text: str) -> str:
        for _ in range(self.chance.randint(1, 3)):
            at = self.chance.randint(0, len(text))
            until = min(len(text), at + self.chance.randint(0, 4))
            piece = self.chance.choice((self.chance.choice(STRANGE), self.chance.choice(WORDS), ""))
            if self.chance.random() < 0.02:
                piece *= self.chance.choice((30, 300))
            text = text[:at] + piece + text[until:]
        return text

    def soup(self) -> str:
        pieces = [self.chance.choice((WORDS, STRANGE)) for _ in range(self.chance.randint(0, 12))]
        text = self.chance.choice(("", " ")).join(self.chance.choice(piece) for piece in pieces)
        return text * self.chance.choice((1, 1, 1, 1, 1, 1, 1, 1, 1, 50))


# -- watching them ------------------------------------------------------------------------------


class Watch:
    """Python's own audit events, and what a payload is asked for, while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: set[str] = set()
        sys.addaudithook(self.hear)

    def hear(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if self.on:
            self.seen.add(event)


WATCH = Watch()
ASKED: set[str] = set()


@dataclass(frozen=True, slots=True)
class Spy(Score):
    """A score that tells what is looked at."""

    secret: str = field(default="secret")

    def __getattribute__(self, name: str) -> Any:
        ASKED.add(name)
        return super(Spy, self).__getattribute__(name)


TURNS = cycle([packet(value) for value in (*VALUES, Spy(1.5, parts={"t2": 1.0}))])
BOOK = LogBook()


@contextmanager
def nothing_else_happens() -> Iterator[None]:
    """No import, no compiled code, no file, no attribute but the documented; nothing is changed."""
    nearest("scor", ["score"])  # difflib is loaded when first needed
    before, threads = (set(sys.modules), dict(vars(builtins))), set(threading.enumerate())
    WATCH.seen.clear()
    ASKED.clear()
    WATCH.on = True
    try:
        yield
    finally:
        WATCH.on = False
    assert WATCH.seen == set()
    assert not ASKED - {"value", "ready", "progress", "parts"}
    assert (set(sys.modules), dict(vars(builtins))) == before
    assert set(threading.enumerate()) <= threads  # one of an earlier test may end meanwhile


def has_its_place(text: str, error: RuleError) -> None:
    written = json.dumps(text)
    place = place_within(Scalar(text, text, Place("a.yaml", 3, 9), written), error.offset, 1)
    assert error.problem
    assert 0 <= error.offset <= len(text)
    assert place.line >= 3
    assert 9 <= place.column <= 9 + len(written)


def try_out(text: str) -> bool:
    """Whether it is a rule; if so it answers, if not the complaint has its place."""
    cls = DetectionRule if "area" in text else Rule
    try:
        rule = cls(text)
    except RuleError as error:
        has_its_place(text, error)
        return False
    for sample in (next(TURNS), next(TURNS), next(TURNS)):
        value = sample.value
        if not isinstance(rule, DetectionRule):
            verdict: object = Matcher(rule, BOOK)(sample)
            assert verdict is True or verdict is False
            assert rule.test(type(value))(sample) in {True, False, None}
        elif issubclass(type(value), Detections):
            found = cast("Detections", value)
            assert Chooser(rule, BOOK)(found).shape == (len(found),)
    BOOK.events.clear()
    return True


def try_many(seed: int, many: int) -> tuple[int, int]:
    """How many were rules, and how many were none."""
    maker = Maker(seed)
    texts = [maker.text() for _ in range(many)]
    with nothing_else_happens():
        right = sum(try_out(text) for text in texts)
    return right, many - right


def test_the_watch_hears_and_the_spy_tells() -> None:
    """Else they would prove nothing."""
    WATCH.on = True
    try:
        eval("1")
    finally:
        WATCH.on = False
    assert {"compile", "exec"} <= WATCH.seen

    with pytest.raises(AssertionError), nothing_else_happens():
        assert Spy(1.0).secret


def test_three_thousand_texts_are_rules_or_complaints() -> None:
    right, wrong = try_many(seed=1, many=3_000)
    assert right > 500
    assert wrong > 1_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_texts_are_rules_or_complaints() -> None:
    right, wrong = try_many(seed=2, many=100_000)
    print(f"\n{right} rules, {wrong} complaints")
    assert right > 20_000
    assert wrong > 40_000


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("()[]\"'.,<>=!+-*/% abdeilnorstuvx_019", max_size=60))
def test_any_text_is_a_rule_or_a_complaint(text: str) -> None:
    try_out(text)


@pytest.mark.slow
def test_from_a_file_every_complaint_has_a_line_and_a_column_within_it() -> None:
    """In every style of YAML that can hold the text."""
    maker = Maker(3)
    complaints = 0
    for number in range(3_000):
        text = maker.text()
        shown = (json.dumps(text), "'" + text.replace("'", "''") + "'", text, f">-\n  {text}")
        file = f"when: {shown[number % 4]}\n"
        try:
            root = read(file.encode("utf-8", "surrogatepass"), "a.yaml")
        except ConfigError as error:
            places = [complaint.place for complaint in error.complaints]
        else:
            assert isinstance(root, Table)
            scalar = root.entries[0].value
            if not isinstance(scalar, Scalar) or not isinstance(scalar.value, str):
                continue
            try:
                Rule(scalar.text)
                continue
            except RuleError as error:
                places = [place_within(scalar, error.offset, error.width)]
        complaints += 1
        lines = file.replace("\r\n", "\n").replace("\x85", "\n").replace("\u2028", "\n")
        for place in places:
            assert place is not None
            assert 1 <= place.line <= len(lines.replace("\r", "\n").split("\n"))
            assert place.column >= 1
    assert complaints > 1_000
