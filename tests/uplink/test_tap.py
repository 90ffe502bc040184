import json

import pytest

from edgeapp.uplink.connection import Received
from edgeapp.uplink.tap import as_json_line, as_line


def test_a_message_is_one_line_of_topic_and_fields() -> None:
    message = Received("edgeapp/d/p/s", b'{"n":1,"labels":["person"],"model":null}', retain=False)
    assert as_line(message) == 'edgeapp/d/p/s  n=1  labels=["person"]  model=null'


def test_what_is_retained_is_marked() -> None:
    message = Received("edgeapp/d/status", b"online", retain=True)
    assert as_line(message) == "edgeapp/d/status  online  (retained)"


@pytest.mark.parametrize(
    ("payload", "shown"),
    [(b"\xff\xd8\xff" * 100, "300 bytes"), (b"", ""), (b"[" * 100_000, "100000 bytes")],
    ids=["binary", "empty", "nested beyond all measure"],
)
def test_what_is_no_json_object_is_shown_too(payload: bytes, shown: str) -> None:
    assert as_line(Received("t", payload, retain=False)) == f"t  {shown}"


def test_a_message_cannot_steer_the_terminal() -> None:
    line = as_line(Received("t\x1b[2J", b"\x1b]0;evil\x07\n", retain=False))
    assert line.isprintable()


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"n":1}', {"payload": {"n": 1}}),
        (b"online", {"payload": "online"}),
        (b"\xff\xd8", {"bytes": 2}),
    ],
)
def test_programs_get_one_json_object_a_line(payload: bytes, told: dict[str, object]) -> None:
    line = as_json_line(Received("t", payload, retain=True))
    assert json.loads(line) == {"topic": "t", "retained": True, **told}
    assert "\n" not in line


def test_what_a_device_says_of_itself_is_short() -> None:
    payload = (
        b'{"id":"d/1/2","time":"2026-01-02T03:04:05.678Z","clock":"unsynced","age_ms":1.0,'
        b'"replay":false,"boot":"b","up_ms":3.0,"schema":"edgeapp/pipeline/1","pipeline":"belt",'
        b'"state":"running","why":""}'
    )
    line = as_line(Received("edgeapp/d/belt/state", payload, retain=True))
    assert line == 'edgeapp/d/belt/state  state="running"  why=""  (retained)'


def test_a_long_message_is_cut_and_its_size_told() -> None:
    payload = b'{"a":"' + b"x" * 30_000 + b'"}'
    line = as_line(Received("homeassistant/device/d/config", payload, retain=False))
    assert line.endswith("xxx... (30,008 bytes)")
    assert len(line) < 220
