"""No secret stays in a text, however it is written; and one that does is found."""

import base64
import html
import json
import shlex
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeapp.service.redaction import ANYWHERE, Redaction, written_in

SECRET = "pa55+wörd/%&'\"<>{}=? x"
SECRETS = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=ANYWHERE, max_size=40
)


def disguised(secret: str) -> dict[str, str]:
    """Written by the libraries that programs use, inside of something else."""
    data = secret.encode()
    return {
        "as it is": f"see {secret} here",
        "in an address": f"rtsp://cam:{urllib.parse.quote(secret, '')}@10.0.0.9/s",
        "in a query": f"http://h/?p={urllib.parse.quote_plus(secret)}&x=1",
        "in JSON": json.dumps({"x": f"a{secret}b"}),
        "in readable JSON": json.dumps({"x": secret}, ensure_ascii=False),
        "in Python": repr({"x": secret}),
        "in HTML": html.escape(secret),
        "for a shell": f"x {shlex.quote(secret)} y",
        "as hex": f"0x{data.hex()}0d",
        "in Base64": base64.b64encode(data).decode(),
        "in basic auth": base64.b64encode(b"line-3:" + data).decode(),
        "in the middle of Base64": base64.b64encode(b"ab" + data + b"cd").decode(),
        "in Base64 of addresses": base64.urlsafe_b64encode(b"x" + data + b"yz").decode(),
    }


@pytest.mark.parametrize("how", disguised(SECRET))
def test_a_secret_is_taken_out_in_every_disguise(how: str) -> None:
    text = disguised(SECRET)[how]
    redaction = Redaction([SECRET])
    assert redaction.leaks(text)
    clean = redaction.clean(text)
    assert not redaction.leaks(clean)
    assert "***" in clean


@given(SECRETS, st.sampled_from(sorted(disguised("x"))))
@example("0000", "as it is")
def test_whatever_the_secret_is_it_is_found_and_taken_out(secret: str, how: str) -> None:
    redaction = Redaction([secret])
    text = disguised(secret)[how]
    if len(secret.encode()) >= 2 * ANYWHERE or ("Base64" not in how and "auth" not in how):
        assert redaction.leaks(text)
    assert not redaction.leaks(redaction.clean(text))


def test_a_short_secret_is_hidden_where_it_stands_alone() -> None:
    redaction = Redaction(["42x"])
    assert redaction.clean("pin 42x, not 142x5") == "pin ***, not 142x5"


def test_base64_that_is_broken_into_lines_is_found() -> None:
    secret = "a long secret that needs more than one line of base64 to be written down in full"
    wrapped = base64.encodebytes(b"user:" + secret.encode()).decode()
    assert "\n" in wrapped.strip()
    assert Redaction([secret]).leaks(wrapped)


def test_each_line_of_a_key_is_a_secret() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAA\n-----END PRIVATE KEY-----\n"
    redaction = Redaction([key])
    assert redaction.leaks("x MIIEvQIBADANBgkqhkiG9w0 y")
    assert not redaction.leaks("-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("rtsp://cam:hunter2@10.0.0.9/s", "hunter2"),
        ("password: hunter2", "hunter2"),
        ("MQTT_PASSWORD=hunter2", "hunter2"),
        ("Authorization: Bearer abcdefgh.ijkl", "abcdefgh.ijkl"),
        ("a\n-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----\nb", "hunter2"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2 that is cut off", "hunter2"),
        ("{'api_key': 'hunter2'}", "hunter2"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out_though_nobody_knows_it(text: str, gone: str) -> None:
    assert gone not in Redaction([]).clean(text)


@pytest.mark.parametrize("text", ["password: cred:mqtt", "username: env:USER", "keepalive_s: 30"])
def test_references_and_numbers_stay(text: str) -> None:
    assert Redaction([]).clean(text) == text
    assert not written_in(text)


def test_what_people_write_into_files_is_known_from_then_on() -> None:
    text = "# was rtsp://cam:hunter22@h/s\npassword: 'open sesame'\n"
    assert {"hunter22", "cam:hunter22"} <= written_in(text)
