"""A character of a value is found in its file, whatever the style of YAML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.document.reader import read
from edgeapp.document.spots import place_within
from edgeapp.document.tree import Scalar, Table, moved
from edgeapp.errors import Place


def scalar_of(text: str) -> Scalar:
    """The value of the key `v`."""
    root = read(text.encode(), "a.yaml")
    assert isinstance(root, Table)
    entry = root.get("v")
    assert entry
    assert isinstance(entry.value, Scalar)
    return entry.value


def spot(text: str, word: str) -> tuple[int, int, int]:
    """Line, column and width of a word of the value."""
    scalar = scalar_of(text)
    place = place_within(scalar, scalar.text.index(word), len(word))
    return place.line, place.column, place.width


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("v: here it is", 1, 4),
        ("v: it is here  # here", 1, 10),
        ("{v: it is here}", 1, 11),
        ("v: it\n   is\n\n   here", 4, 4),
        ("v: 'it''s here'", 1, 11),
        ("v: 'it''s\n   here'", 2, 4),
        ('v: "it\'s \\"here\\""', 1, 12),
        ('v: "\\x69t \\u0069s \\ \\n \\\n   here"', 2, 4),
        ('v: "\\x20\\t\\Lhere"', 1, 13),
        ("v: |\n  it is\n  here", 3, 3),
        ("v: |2-\n    it\n   here", 3, 4),
        ("v: >- # here\n  it\n  is\n\n  here", 5, 3),
        ("a: 1\nv:\n  here", 3, 3),
    ],
)
def test_a_word_is_found(text: str, line: int, column: int) -> None:
    assert spot(text, "here") == (line, column, 4)
    assert text.split("\n")[line - 1][column - 1 :].startswith("here")


def test_what_goes_over_a_line_is_marked_to_its_end() -> None:
    assert spot("v: this goes\n   on", "goes on") == (1, 9, 4)


def test_behind_the_end_is_the_next_column() -> None:
    assert place_within(scalar_of("v: abc  \n"), 3, 1) == Place("a.yaml", 1, 7)
    assert place_within(scalar_of("v: 'abc '\n"), 4, 1) == Place("a.yaml", 1, 8)


def test_without_a_file_it_is_where_the_value_is() -> None:
    place = Place("--set a.b=c")
    assert place_within(scalar_of("v: ''"), 0, 1) == Place("a.yaml", 1, 4, 2)
    assert place_within(Scalar("x", "x", place), 0, 1) == place
    given_by_hand = moved(scalar_of("v: abc"), place)
    assert isinstance(given_by_hand, Scalar)
    assert place_within(given_by_hand, 0, 1) == place


@given(
    st.lists(st.sampled_from(["a", "bc", "'", '"', "\\", "é", "x1"]), min_size=1, max_size=8),
    st.data(),
)
def test_in_quotes_each_word_is_found(words: list[str], data: st.DataObject) -> None:
    """Whatever had to be escaped before it."""
    number = data.draw(st.integers(0, len(words) - 1))
    words[number] = "HERE"
    value = " ".join(words)
    single = "v: '" + value.replace("'", "''") + "'"
    double = 'v: "' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for text in (single, double):
        assert scalar_of(text).text == value
        assert spot(text, "HERE") == (1, text.index("HERE") + 1, 4)
