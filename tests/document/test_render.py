from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.document.render import MAX_COLUMNS, MOST_SHOWN, render, render_all
from edgeapp.errors import Complaint, Place


def shown(line: str, column: int, width: int = 1) -> list[str]:
    """The line and the carets of a complaint about a part of a one-line file."""
    text = render(Complaint(Place("f", 1, column, width), "wrong"), text=line).split("\n")
    return [row.partition("| ")[2] for row in text[2:4]]


def test_a_complaint_shows_place_line_carets_and_remedy() -> None:
    text = "stages:\n    rate_hx: 15\n"
    complaint = Complaint(
        Place("porch.yaml", 2, 5, 7),
        "source 'camera' has no option 'rate_hx'",
        "did you mean 'rate_hz'? Options: device, size, rate_hz",
    )

    assert render(complaint, text=text).split("\n") == [
        "porch.yaml:2:5: source 'camera' has no option 'rate_hx'",
        "   |",
        " 2 |     rate_hx: 15",
        "   |     ^^^^^^^",
        "   = did you mean 'rate_hz'? Options: device, size, rate_hz",
    ]


def test_a_complaint_without_a_line_is_a_sentence_and_a_remedy() -> None:
    complaint = Complaint(Place("--set camera.rate_hz=abc"), "must be a number", "write 15")

    assert render(complaint) == "--set camera.rate_hz=abc: must be a number\n   = write 15"


def test_a_complaint_without_a_place_is_a_sentence() -> None:
    assert render(Complaint(None, "no pipeline file was given")) == "no pipeline file was given"


def test_the_margin_is_as_wide_as_the_line_number() -> None:
    text = "x\n" * 120

    assert render(Complaint(Place("f", 120, 1), "wrong"), text=text).split("\n")[1:] == [
        "     |",
        " 120 | x",
        "     | ^",
    ]


def test_tabs_are_as_wide_as_they_are_shown() -> None:
    assert shown("\ta:\tbad", 5, 3) == ["    a:  bad", "        ^^^"]


def test_wide_characters_take_two_columns() -> None:
    assert shown("名前: 名", 5, 1) == ["名前: 名", "      ^^"]


def test_combining_characters_take_none() -> None:
    assert shown("e\u0301: x", 5) == ["e\u0301: x", "   ^"]


def test_a_place_behind_the_end_of_the_line_gets_one_caret() -> None:
    assert shown("a: {b", 6) == ["a: {b", "     ^"]


def test_carets_stop_at_the_end_of_the_line() -> None:
    assert shown("abc", 2, 500) == ["abc", " ^^"]


@pytest.mark.parametrize("column", [1, 40, 150, 290, 300])
def test_of_a_very_long_line_the_part_around_the_place_is_shown(column: int) -> None:
    line = "".join(str(i % 10) for i in range(1, 301))

    text, carets = shown(line, column, 3)

    assert len(text) <= MAX_COLUMNS + 2
    at = carets.index("^")
    assert text[at] == str(column % 10)


def test_color_comes_only_when_asked() -> None:
    complaint = Complaint(Place("f", 1, 1), "wrong", "right")

    assert "\x1b" not in render(complaint, text="a")
    assert "\x1b[31m^\x1b[0m" in render(complaint, text="a", color=True)


def test_nothing_in_a_file_can_steer_the_terminal() -> None:
    hostile = "a\x1b[2J\u202eb"
    complaint = Complaint(Place(hostile, 1, 1), f"no option '{hostile}'", hostile)

    rendered = render(complaint, text=hostile)

    assert "\x1b" not in rendered
    assert "\u202e" not in rendered


@pytest.mark.parametrize(
    "line",
    [
        "device: rtsp://admin:hunter2@10.0.0.7/main",
        "{device: 'http://hunter2@cam/', size: 3}",
        "password: hunter2",
        "mqtt: {api_key: 'hunter2', port: 3}",
        "mqtt: {host: a, username: hunter2}",
        "  secret_token = hunter2 and more hunter2",
    ],
)
def test_secrets_in_a_shown_line_become_stars(line: str) -> None:
    rendered = render(Complaint(Place("f", 1, 1), "wrong"), text=line)

    assert "hunter2" not in rendered
    assert "***" in rendered


def test_references_to_secrets_are_shown() -> None:
    assert shown("password: cred:mqtt", 1)[0] == "password: cred:mqtt"
    assert shown("username: env:NAME", 1)[0] == "username: env:NAME"


def test_a_secret_given_by_set_is_not_shown() -> None:
    complaint = Complaint(Place("--set cam.password=hunter2"), "not 'rtsp://me:hunter2@cam'")

    assert "hunter2" not in render(complaint)


def test_a_login_is_not_shown_in_what_was_taken_for_a_path() -> None:
    rendered = render(Complaint(None, "there is no file '/srv/rtsp:/me:hunter2@cam/main'"))

    assert rendered == "there is no file '/srv/rtsp:/***@cam/main'"
    rendered = render(Complaint(None, "there is no file '/srv/rtsp:x/me:hunter2@cam/main'"))
    assert rendered == "there is no file '/srv/rtsp:x/***@cam/main'"


def test_a_mistake_made_very_often_is_shown_some_times() -> None:
    """In a moment, also where all of them are in one long line."""
    text = "s: [" + "x, " * 5_000 + "]"
    complaints = [Complaint(Place("f", 1, 5 + 3 * n, 1), f"wrong {n}") for n in range(5_000)]

    rendered = render_all(complaints, texts={"f": text})

    assert rendered.count("wrong") == MOST_SHOWN
    assert rendered.endswith(f"\n\n{5_000 - MOST_SHOWN} more mistakes are not shown")


def test_of_a_very_long_line_what_is_near_is_shown_without_its_secrets() -> None:
    line, carets = shown(f"{'a' * 90_000} rtsp://me:hunter2@cam {'b' * 90_000}", 90_002, 4)

    assert "rtsp://***@cam" in line
    assert line[carets.index("^") :].startswith("rtsp")
    assert line[0] == line[-1] == "…"


def test_files_are_read_again_for_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: x\r\nbad: \xff1\r\n")

    rendered = render_all([Complaint(Place(str(file), 2, 1, 3), "wrong"), Complaint(None, "more")])

    assert rendered.split("\n")[1:] == ["   |", " 2 | bad: \ufffd1", "   | ^^^", "", "more"]


def test_a_file_that_is_gone_costs_only_its_line() -> None:
    assert render(Complaint(Place("/none", 3, 1), "wrong")) == "/none:3:1: wrong"


@given(
    st.text(max_size=300),
    st.integers(0, 400),
    st.integers(0, 400),
    st.text(max_size=40),
)
def test_every_complaint_renders(text: str, column: int, width: int, problem: str) -> None:
    rendered = render(Complaint(Place("f", 1, column, width), problem), text=text)

    assert rendered.startswith("f:1:")
    assert rendered.isprintable() or set(rendered) - {"\n"}
