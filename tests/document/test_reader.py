from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.document.reader import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    UNPRINTABLE,
    read,
    read_file,
)
from edgeapp.document.tree import Node, Scalar, Table, plain
from edgeapp.errors import ConfigError


def mistakes(text: str | bytes) -> list[str]:
    """The complaints about a text, as "line:column problem"."""
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigError) as caught:
        read(data, "t.yaml")
    places = [(c.place, c.problem) for c in caught.value.complaints]
    return [f"{place.line}:{place.column} {problem}" for place, problem in places if place]


def tree_of(data: bytes) -> Node | None:
    """The tree, or None where there were complaints; each has a place in the file."""
    try:
        return read(data, "t")
    except ConfigError as error:
        placed = [c for c in error.complaints if c.place and c.place.file == "t"]
        if len(placed) != len(error.complaints) or not placed:
            raise AssertionError(error.complaints) from error
        return None


def test_what_is_unprintable_is_all_that_yaml_does_not_count_as_printable() -> None:
    """And the mark of the byte order, which nobody sees."""
    printable = {*"\t\n\r\x85"}
    for first, last in ("\x20\x7e", "\xa0\ud7ff", "\ue000\ufefe", "\uff00\ufffd"):
        printable.update(map(chr, range(ord(first), ord(last) + 1)))
    every = map(chr, range(0x1_0000))
    assert {one for one in every if not UNPRINTABLE.match(one)} == printable
    assert not UNPRINTABLE.search("".join(map(chr, range(0x1_0000, 0x11_0000))))


def test_tables_lists_and_scalars_become_plain_values() -> None:
    text = "a: 1\nb: [no, 'two', {c: ~}]\nd:\n  - x: |\n      long\n      text\n"

    assert plain(read(text.encode(), "t")) == {
        "a": 1,
        "b": ["no", "two", {"c": None}],
        "d": [{"x": "long\ntext\n"}],
    }


def test_quoted_scalars_are_text() -> None:
    assert plain(read(b"a: '1'\nb: \"true\"\nc: ''", "t")) == {"a": "1", "b": "true", "c": ""}


def test_keys_are_text_however_they_look() -> None:
    assert plain(read(b"1: a\nno: b\ntrue: c", "t")) == {"1": "a", "no": "b", "true": "c"}


def test_every_node_knows_its_place() -> None:
    root = read("a: 1\nstages:\n  kamera: {größe: [4, 55]}".encode(), "t.yaml")

    assert isinstance(root, Table)
    stages = root.get("stages")
    assert stages
    assert isinstance(stages.value, Table)
    camera = stages.value.get("kamera")
    assert camera
    assert isinstance(camera.value, Table)
    assert (camera.place.line, camera.place.column, camera.place.width) == (3, 3, 6)
    [size] = camera.value.entries
    assert (size.place.file, size.place.line, size.place.column) == ("t.yaml", 3, 12)
    assert (size.place.width, size.value.place.column, size.value.place.width) == (5, 19, 7)


def test_a_byte_order_mark_does_not_shift_places() -> None:
    assert mistakes(b"\xef\xbb\xbfa: &x 1") == ["1:4 anchors ('&x') are not used in configs"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_count_alike_with_every_line_ending(newline: str) -> None:
    text = newline.join(["a: 1", "b: 2", "a: 3"])

    assert mistakes(text) == ["3:1 'a' stands here a second time; the first is in line 1"]


def test_all_mistakes_of_structure_come_at_once() -> None:
    assert mistakes("a: &x 1\nb: *x\nc: !!int 3\na: 2\n<<: {d: 1}\n? [k]\n: 2") == [
        "1:4 anchors ('&x') are not used in configs",
        "2:4 references ('*x') are not used in configs",
        "3:4 tags ('!...') are not used in configs",
        "4:1 'a' stands here a second time; the first is in line 1",
        "5:1 merging ('<<') is not used in configs",
        "6:3 a key must be a word before the ':'",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a:\n\tb: 1", "2:1 a tab stands here where YAML wants spaces"),
        ("a: {b: 1", "1:9 a ',' or the closing '}' is missing"),
        ("a: [1, 2\nb: 3", "2:2 a ',' or the closing ']' is missing"),
        ("a: b: c", "1:5 this ':' is not expected here"),
        ("a: 'x", "1:6 the file ends inside a quoted text"),
        ("a: 1\n- b", "2:1 this does not line up with the lines above"),
        ("a: 1\nb\nc: 2", "2:1 a ':' is missing"),
        ("a: @b", "1:4 this character cannot start a value"),
        ('a: "\\q"', "1:6 no such escape is known inside double quotes"),
        ("%YAML 3.0\n---\na: 1", "1:1 this version of YAML is not known"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "1:1 tags ('%TAG') are not used in configs"),
        ("a: 1\n---\nb: 1", "2:1 a second document starts here"),
        ("a: \x07", "1:4 here is the control character U+0007"),
        ('a: "\\0"', "1:4 this text holds the control character U+0000"),
        ('a: "\\uD800"', "1:4 this text holds the control character U+D800"),
        ('a: "\\UFFFFFFFF"', "1:1 this is not YAML from here on"),
        ("", "0:0 the file is empty"),
        ("# nothing\n", "0:0 the file is empty"),
    ],
)
def test_syntax_errors_say_what_is_wrong_and_where(text: str, mistake: str) -> None:
    assert mistakes(text)[:1] == [mistake]


def test_what_is_not_utf_8_is_refused_at_the_first_bad_byte() -> None:
    assert mistakes(b"a: 1\nb: \xfc") == ["2:4 from here on the file is not UTF-8 text"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "a:\n"])
def test_depth_is_bounded_long_before_recursion_is(opening: str) -> None:
    nested = "".join(
        opening if opening != "a:\n" else f"{' ' * i}a:\n" for i in range(MAX_DEPTH * 12)
    )

    [mistake] = mistakes(nested)

    assert mistake.endswith(f"nested more than {MAX_DEPTH} levels deep")


def test_depth_up_to_the_limit_is_read() -> None:
    node = read(("[" * MAX_DEPTH + "]" * MAX_DEPTH).encode(), "t")

    depth = str(plain(node)).count("[")
    assert depth == MAX_DEPTH


def test_the_number_of_values_is_bounded() -> None:
    assert mistakes("- 1\n" * MAX_NODES)[0].endswith(f"more than {MAX_NODES} values")


def test_size_is_bounded() -> None:
    assert mistakes(b"#" * (MAX_BYTES + 1)) == [
        "0:0 it is larger than 256 KiB, too large for a config"
    ]


def test_an_alias_bomb_does_not_grow() -> None:
    """Every reference is one complaint and one empty value, never what it stands for."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]

    found = mistakes("\n".join(lines))

    assert len(found) == 40 + 2 * 39


def test_a_file_that_is_not_there_is_one_complaint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_file(tmp_path / "none.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a folder"):
        read_file(tmp_path)


def test_a_file_that_never_ends_is_not_read_to_the_end() -> None:
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        read_file(Path("/dev/zero"))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_tree_or_a_config_error(data: bytes) -> None:
    places = [node.place for node in [tree_of(data)] if node]

    assert all(place.file == "t" for place in places)


@given(st.text(alphabet=" \n\t:-[]{},'\"#&*!|>%@`?ab01.", max_size=60))
def test_any_yaml_like_text_gives_a_tree_or_a_config_error(text: str) -> None:
    node = tree_of(text.encode())

    assert node is None or node.place.line > 0


@given(
    st.dictionaries(
        st.text(alphabet="abc_", min_size=1),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("xyz "),
    )
)
def test_json_is_read_as_what_it_says(value: dict[str, object]) -> None:
    """JSON is YAML, but for the infinities."""
    import json

    text = json.dumps(value).replace("Infinity", ".inf")

    assert plain(read(text.encode(), "t")) == value


def test_the_text_of_a_scalar_is_kept_as_written() -> None:
    root = read(b"a: 0x1F", "t")

    assert isinstance(root, Table)
    value = root.entries[0].value
    assert isinstance(value, Scalar)
    assert (value.value, value.text) == (31, "0x1F")
