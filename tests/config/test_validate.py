from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field, WithJsonSchema, field_validator

from edgeapp.config.validate import Subject, validate
from edgeapp.core.plugin import Options
from edgeapp.core.secret import Secret
from edgeapp.document.reader import read
from edgeapp.document.tree import Table
from edgeapp.errors import Complaint, Place


def _refuse_seven(value: int) -> int:
    if value == 7:
        raise ValueError("seven is taken; choose another")
    return value


class Inner(Options):
    ca: Path | None = None
    depth: int = 1


class Sample(Options):
    rate_hz: float = 1.0
    count: Annotated[int, AfterValidator(_refuse_seven)] = 1
    on: bool = False
    device: str | int = 0
    size: tuple[int, int] = (1, 1)
    mode: Literal["fast", "real_time"] = "fast"
    labels: tuple[str, ...] = ()
    names: dict[int, str] = Field(default_factory=dict)
    file: Path | None = None
    password: Secret | None = None
    tls: Inner | None = None

    @field_validator("labels", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


def check(text: str, model: type[Options] = Sample) -> tuple[Options | None, list[Complaint]]:
    table = read(text.encode(), "f")
    assert isinstance(table, Table)
    found: list[Complaint] = []
    subject = Subject("stage 's'", "source 'sample'", Place("f", 9, 9), ["from"])
    return validate(model, table, subject, found=found), found


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("rate_hz: 15", "rate_hz", 15.0),
        ("count: 3.0", "count", 3),
        ("size: [640, 480]", "size", (640, 480)),
        ("labels: person", "labels", ("person",)),
        ("labels: [person, cat]", "labels", ("person", "cat")),
        ("names: {1: one}", "names", {1: "one"}),
        ("device: 0", "device", 0),
        ("device: '0'", "device", "0"),
        ("file: a/b", "file", Path("a/b")),
        ("file:", "file", None),
        ("on: true", "on", True),
    ],
)
def test_good_values_become_what_the_option_is(text: str, name: str, value: object) -> None:
    options, found = check(text)

    assert not found
    assert getattr(options, name) == value


ALONE = "write the number alone, in the unit that the option's name ends in"


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("rate_hz: fast", "rate_hz must be a number, not 'fast'", ""),
        ("rate_hz: '15'", "rate_hz must be a number, not '15'", "remove the quotes"),
        ("rate_hz: true", "rate_hz must be a number, not true", ""),
        ("rate_hz: .inf", "rate_hz must be a number, not .inf", ""),
        ("rate_hz:", "rate_hz must be a number, but it is empty", ""),
        ("rate_hz: []", "rate_hz must be a number, not an empty list", ""),
        ("rate_hz: {a: 1}", "rate_hz must be a number, not a group of keys", ""),
        ("count: 1.5", "count must be a whole number, not 1.5", ""),
        ("count: true", "count must be a whole number, not true", ""),
        ("count: 7", "count: seven is taken; choose another", ""),
        ("on: yes", "on must be true or false, not 'yes'", "write true"),
        ("on: Off", "on must be true or false, not 'Off'", "write false"),
        ("on: maybe", "on must be true or false, not 'maybe'", ""),
        ("rate_hz: 12 kHz", "rate_hz must be a number, not '12 kHz'", ALONE),
        ("rate_hz: -3Hz", "rate_hz must be a number, not '-3Hz'", ALONE),
        ("count: 2 min", "count must be a whole number, not '2 min'", ALONE),
        ("on: 1", "on must be true or false, not 1", ""),
        ("device: 1.5", "device must be text or a whole number, not 1.5", ""),
        (
            "size: [1]",
            "size must be a list of 2 values: each a whole number, not a list of 1",
            "",
        ),
        ("size: [1, x]", "item 2 of size must be a whole number, not 'x'", ""),
        (
            "mode: fats",
            "mode must be 'fast' or 'real_time', not 'fats'",
            "did you mean 'fast'?",
        ),
        ("labels: [1]", "item 1 of labels must be text, not 1", 'put it in quotes: "1"'),
        ("tls: {depth: x}", "tls.depth must be a whole number, not 'x'", ""),
    ],
)
def test_wrong_values_are_told_in_words(text: str, problem: str, remedy: str) -> None:
    options, found = check(text)

    assert options is None
    assert [(c.problem, c.remedy) for c in found] == [(f"stage 's': {problem}", remedy)]


def test_every_mistake_has_the_place_of_its_value() -> None:
    _, found = check("rate_hz: fast\nsize: [1, x]\ntls: {depth: y}")

    places = [c.place for c in found]
    assert [(p.line, p.column, p.width) for p in places if p] == [
        (1, 10, 4),
        (2, 11, 1),
        (3, 14, 1),
    ]


def test_an_unknown_option_stands_under_its_key_with_a_suggestion() -> None:
    _, [complaint] = check("rate_hx: 3")

    assert complaint.problem == "source 'sample' has no option 'rate_hx'"
    assert complaint.remedy.startswith("did you mean 'rate_hz'? Options: rate_hz, count, on")
    assert complaint.place == Place("f", 1, 1, 7)


def test_a_misspelt_framework_key_is_recognised() -> None:
    _, [complaint] = check("form: x")

    assert complaint.remedy.startswith("did you mean 'from'?")


def test_an_unknown_key_of_a_group_lists_the_keys_of_that_group() -> None:
    _, [complaint] = check("tls: {dept: x}")

    assert complaint.problem == "tls of source 'sample' has no option 'dept'"
    assert complaint.remedy == "did you mean 'depth'? Options: ca, depth"


def test_a_key_of_the_wrong_type_stands_under_the_key() -> None:
    _, [complaint] = check("names: {1: a, x: b}")

    assert complaint.problem == "stage 's': 'x' cannot be a key of names"
    assert complaint.place == Place("f", 1, 15)


def test_what_should_have_been_a_reference_to_a_secret_is_not_repeated() -> None:
    found = check("password: hunter2")[1] + check("password: 4711")[1]

    assert len(found) == 2
    assert "hunter2" not in repr(found)
    assert "4711" not in repr(found)


def test_a_missing_option_points_at_the_stage_and_says_what_it_is_for() -> None:
    class Needs(Options):
        length_s: float = Field(gt=0, description="Length of a window.")

    _, [complaint] = check("{}", Needs)

    assert complaint == Complaint(
        Place("f", 9, 9),
        "source 'sample' needs the option 'length_s'",
        "add 'length_s: ...', a number greater than 0. Length of a window.",
    )


def test_a_validator_that_breaks_is_its_authors_mistake_and_not_a_traceback() -> None:
    class Broken(Options):
        a: int = 1

        @field_validator("a")
        @classmethod
        def _break(cls, value: int) -> int:
            return value // 0

    options, [complaint] = check("a: 2", Broken)

    assert options is None
    assert "failed while checking its options: ZeroDivisionError" in complaint.problem
    assert "its author" in complaint.remedy


def test_options_that_no_schema_can_describe_still_give_a_sentence() -> None:
    class Opaque(Options):
        thing: complex = 0j

    _, [complaint] = check("thing: [1]", Opaque)

    assert complaint.problem.startswith("stage 's': thing")


def test_a_schema_that_its_author_wrote_is_understood() -> None:
    class Written(Options):
        device: Annotated[str, WithJsonSchema({"type": ["string", "integer", "null"]})]

    _, [complaint] = check("device: [1]", Written)

    assert complaint.problem == (
        "stage 's': device must be text or a whole number, not a list of 1"
    )


def test_a_file_that_cannot_be_looked_at_is_nobodys_bug() -> None:
    class Looks(Options):
        file: Path

        @field_validator("file")
        @classmethod
        def _look(cls, value: Path) -> Path:
            value.stat()
            return value

    _, [complaint] = check(f"file: {'x' * 5000}", Looks)

    assert complaint.problem == (
        "stage 's': a file that it names cannot be looked at: File name too long"
    )
