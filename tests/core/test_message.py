"""What may be a topic: all that a broker takes, and nothing that it hangs up on."""

import pytest

from edgeapp.core.message import is_topic


@pytest.mark.parametrize(
    "text",
    ["a", "/", "a//b", "plant/hall 2/größe", "{{x}}/\N{GRINNING FACE}", "\u202e", "x" * 1024],
)
def test_topics(text: str) -> None:
    assert is_topic(text)


@pytest.mark.parametrize(
    "text",
    ["", "+", "a/#", "\0", "a\n", "\x7f", "\x85", "\x9f", "\ud800", "\ufdd0", "\uffff", "x" * 1025],
)
def test_what_a_broker_may_hang_up_on_is_no_topic(text: str) -> None:
    assert not is_topic(text)
