"""What a rule costs a packet, counted in calls, which no busy machine can change."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from benchmarks.rules import questions


def calls(ask: Callable[[Any], object], about: object) -> int:
    """Calls of Python functions and of built-in ones within one answer."""
    seen = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal seen
        seen += event in {"call", "c_call"}

    ask(about)  # what is looked up once is looked up
    sys.setprofile(count)
    try:
        ask(about)
    finally:
        sys.setprofile(None)
    return seen - 1  # that of `setprofile` itself


@pytest.mark.parametrize("number", range(4))
def test_an_answer_is_a_handful_of_calls(number: int) -> None:
    """At most seven for each comparison: nothing is parsed, looked up or built any more."""
    text, ask, by_hand, about = questions()[number]
    comparisons = text.count(" and ") + 1
    assert calls(by_hand, about) < calls(ask, about) <= 7 * comparisons + 2
