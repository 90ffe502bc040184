"""Terms: what can be said about a packet, and what is refused."""

from typing import Any

import pytest

from edgeapp.core.payload import Detections, Score
from edgeapp.rules.term import Term, TermReader
from edgeapp.rules.tree import RuleError
from edgeapp.testing import packets
from edgeapp.testing.stage import LogBook
from tests.rules.samples import FOUND, LEARNING, NOTHING, SCORE


def said(text: str, value: Any) -> Any:
    [packet] = packets([value])
    return TermReader(Term(text), LogBook())(packet)


@pytest.mark.parametrize(
    ("text", "value", "what"),
    [
        ("count", FOUND, 3.0),
        ('count("person")', FOUND, 2.0),
        ("label", FOUND, "person"),
        ("label", NOTHING, None),
        ("score", NOTHING, None),
        ("ready", LEARNING, False),
        ("value > 1", SCORE, True),
        ('parts["t2"] * 2', SCORE, 8.0),
        ('parts["nan"]', SCORE, None),
        ("1 / (value - 1.5)", SCORE, None),
        ("not ready", SCORE, False),
        ("count", SCORE, None),
    ],
)
def test_a_term_reads_what_a_packet_says(text: str, value: Any, what: object) -> None:
    """Numbers that are none are None, so that they equal each other."""
    assert said(text, value) == what


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cuont", "no field 'cuont' .*did you mean 'count'"),
        ("parts", "needs a key"),
        ("1 + 1", "the same for all packets"),
        ("count(3)", "takes one text"),
        ('label + "x"', "where a number is wanted"),
    ],
)
def test_what_is_no_term_is_refused(text: str, problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        Term(text)


def test_a_term_knows_which_payloads_have_its_fields() -> None:
    assert Term("count").reader(Detections) is not None
    assert Term("count").reader(Score) is None
    with pytest.raises(RuleError, match="Score has no 'count'"):
        Term("count").check_for([Score])
    Term("count").check_for([Score, Detections])


def test_a_label_that_never_comes_is_told_once() -> None:
    log = LogBook()
    reader = TermReader(Term('count("cat")'), log)
    for packet in packets([FOUND, FOUND]):
        assert reader(packet) == 0.0
    assert log.said("warning") == ["the rule names what does not come"]
