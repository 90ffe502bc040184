import math

import pytest

from edgeapp.document.scalars import MAX_NUMBER, resolve


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "off",
        "12:30:00",
        "2026-01-02",
        "1_000",
        "0b1",
        "+",
        "-.",
        "x",
        "=",
        "<<",
        "1e",
        ".",
        "0x",
        "0o8",
        "-0x1",
    ],
)
def test_what_only_older_yaml_sees_a_meaning_in_is_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("010", 10),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5e3", -1500.0),
        ("-.inf", -math.inf),
    ],
)
def test_core_schema_values(text: str, value: object) -> None:
    resolved = resolve(text)

    assert resolved == value
    assert type(resolved) is type(value)


def test_not_a_number_is_a_float() -> None:
    value = resolve(".NaN")

    assert isinstance(value, float)
    assert math.isnan(value)


def test_numbers_of_absurd_length_stay_text() -> None:
    """Turning them into numbers takes quadratic time, and Python refuses in the end."""
    text = "9" * (MAX_NUMBER + 1)

    assert resolve(text) == text
