import base64
import html
import json
import shlex
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.core import revealed
from edgeapp.core.revealed import MOST, SHORTEST, hidden, remember


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """As in a new process, before and after."""
    revealed._known.clear()
    revealed._pattern = None
    yield
    revealed._known.clear()
    revealed._pattern = None


def test_what_was_never_read_is_left_alone() -> None:
    assert hidden("hunter2 is no secret") == "hunter2 is no secret"


@pytest.mark.parametrize(
    "disguise",
    [
        str,
        repr,
        json.dumps,
        lambda s: quote(s, ""),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.b64encode(f"me:{s}".encode()).decode(),
        lambda s: s.encode().hex(),
        html.escape,
        shlex.quote,
        lambda s: f"rtsp://cam:{quote(s, '')}@10.0.0.7/main",
    ],
)
def test_a_secret_is_hidden_in_every_disguise(disguise: type[str]) -> None:
    secret = 'h"unter & 2 \\ é/9'
    remember(secret)
    shown = hidden(f"cannot log in with {disguise(secret)}!")
    assert "unter" not in shown
    assert shown.startswith("cannot log in with ")
    assert "***" in shown


def test_what_is_only_a_part_of_a_secret_is_left_alone() -> None:
    remember("passwords1")
    assert (
        hidden("swords, asswords, password, passwords") == "swords, asswords, password, passwords"
    )


def test_each_line_of_a_key_is_a_secret() -> None:
    remember("-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n")
    assert hidden("bad key: MIIEvQIBADAN?") == "bad key: ***?"


def test_a_short_one_is_not_looked_for_in_ordinary_words() -> None:
    remember("cam")
    assert hidden("camera lost") == "camera lost"


@settings(deadline=None)
@given(st.lists(st.text(min_size=SHORTEST, max_size=30), max_size=2 * MOST))
def test_it_is_bounded(secrets: list[str]) -> None:
    for secret in secrets:
        remember(secret)
    assert len(revealed._known) <= MOST
    for secret in secrets[-3:]:
        for line in secret.splitlines():
            if len(line.strip()) >= SHORTEST:
                assert line.strip() not in hidden(f"<{secret}>") or line.strip() in "<***>"
