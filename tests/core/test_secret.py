import os
from pathlib import Path

import pytest

from edgeapp.core.secret import MOST_BYTES, Secret
from edgeapp.errors import Unavailable


def test_secret_never_prints() -> None:
    assert repr(Secret("env:BROKER_PASSWORD")) == str(Secret("env:BROKER_PASSWORD")) == "***"


def test_secret_is_read_from_the_environment() -> None:
    assert Secret("env:PASSWORD").reveal({"PASSWORD": "hunter2"}) == "hunter2"


def test_secret_is_read_from_a_credential_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "broker").write_text("hunter2\n")
    assert Secret("cred:broker").reveal({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "hunter2"


@pytest.mark.parametrize("reference", ["env:MISSING", "cred:missing"])
def test_a_missing_secret_is_unavailable(reference: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"(?i)missing"):
        Secret(reference).reveal({"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_what_is_no_file_of_text_is_said_without_waiting_and_without_the_secret(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    (tmp_path / "long").write_text("hunter2" * MOST_BYTES)
    (tmp_path / "empty").write_text("\n")
    for name, why in {
        "folder": "Is a directory",
        "binary": "it is not UTF-8 text",
        "long": "it has more than 65,536 bytes",
        "empty": "it is empty",
        "pipe": "it is empty",
    }.items():
        with pytest.raises(Unavailable, match=why) as caught:
            Secret(f"cred:{name}").reveal({"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["hunter2", "env:correct horse", "cred:../../etc/shadow", "file:x"]
)
def test_a_value_in_place_of_a_reference_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="by reference") as caught:
        Secret(text)
    assert text not in str(caught.value)
