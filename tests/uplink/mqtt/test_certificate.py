"""Until when a certificate is good, and who is told."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.uplink.mqtt import expiry
from edgeapp.uplink.mqtt.certificate import good_until
from edgeapp.uplink.mqtt.expiry import ExpiryWatch
from tests.uplink.parts import ListLog

UTC_TIME, GENERALIZED = 0x17, 0x18


def element(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes(2)
    return bytes((tag, 0x82)) + size + body


def pem(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"some words\n-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\nmore\n"


def certificate(tag: int, until: str, *, version: bool = True, filler: int = 300) -> bytes:
    """What of a certificate is looked at; the rest is filled with something."""
    fields = [
        element(0xA0, element(2, b"\x02")) if version else b"",
        element(2, b"\x7b"),
        element(0x30, element(6, b"\x2a")),
        element(0x30, element(0x13, b"x" * filler)),
        element(0x30, element(UTC_TIME, b"200101000000Z"), element(tag, until.encode())),
        element(0x30),
    ]
    return element(0x30, element(0x30, *fields), element(3, b"signature"))


@pytest.mark.parametrize("version", [True, False])
@pytest.mark.parametrize(
    ("tag", "text", "year"),
    [
        (UTC_TIME, "491231235959Z", 2049),
        (UTC_TIME, "500101000000Z", 1950),
        (GENERALIZED, "20501231235959Z", 2050),
        (GENERALIZED, "99991231235959Z", 9999),
    ],
)
def test_both_ways_of_writing_a_time_are_read(
    tag: int, text: str, year: int, version: bool
) -> None:
    until = good_until(pem(certificate(tag, text, version=version)))
    assert until is not None
    assert until.year == year
    assert until.tzinfo is UTC


@given(st.binary(max_size=80))
def test_what_is_no_certificate_is_none(der: bytes) -> None:
    assert good_until(pem(der)) is None


@given(st.data())
def test_a_damaged_certificate_is_read_or_none_but_never_an_error(data: st.DataObject) -> None:
    der = bytearray(certificate(UTC_TIME, "491231235959Z", filler=20))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    until = good_until(pem(bytes(der)))
    assert until is None or until.tzinfo is UTC


def test_no_certificate_at_all_is_none() -> None:
    assert good_until("-----BEGIN PRIVATE KEY-----") is None


def test_it_warns_once_thirty_and_once_seven_days_before_and_again_after_a_renewal(
    tmp_path: Path,
) -> None:
    file, log = tmp_path / "own.crt", ListLog()
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def today() -> float:
        return now.timestamp()

    def renew(text: str) -> None:
        file.write_text(pem(certificate(GENERALIZED, text)))

    def days_left() -> list[object]:
        found = [facts["days_left"] for _, facts in log.events]
        log.events.clear()
        return found

    watch = ExpiryWatch(file, log, today)
    watch.look()  # there is no such file: connecting says so
    renew("20260301000000Z")
    watch.look()
    assert days_left() == []
    now += timedelta(days=30)
    for _ in range(3):
        watch.look()
    assert days_left() == [29]
    now += timedelta(days=23)
    for _ in range(3):
        watch.look()
    assert days_left() == [6]
    now += timedelta(days=10)
    watch.look()
    assert days_left() == []
    renew("20260401000000Z")
    watch.look()
    assert days_left() == [27]


def test_it_says_what_expires_when(tmp_path: Path) -> None:
    file, log = tmp_path / "own.crt", ListLog()
    file.write_text(pem(certificate(GENERALIZED, "20260301120000Z")))
    ExpiryWatch(file, log, lambda: datetime(2026, 3, 2, tzinfo=UTC).timestamp()).look()
    assert log.events == [
        (
            "the certificate of this device expires: renew the file",
            {"file": str(file), "expires": "2026-03-01T12:00:00+00:00", "days_left": 0},
        )
    ]


def test_it_looks_again_every_day_while_a_connection_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_DAY_S", 0.001)
    file, log = tmp_path / "own.crt", ListLog()
    file.write_text(pem(certificate(GENERALIZED, "20260301120000Z")))
    days = iter(range(1000))
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def tomorrow() -> float:
        return (start + timedelta(days=next(days))).timestamp()

    async def story() -> None:
        over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        watch = ExpiryWatch(file, log, tomorrow)
        watching = asyncio.ensure_future(watch.until(over))
        while len(log.events) < 2:
            await asyncio.sleep(0.001)
        over.set_result("closed")
        await watching

    asyncio.run(asyncio.wait_for(story(), 20))
    assert [facts["days_left"] for _, facts in log.events] == [29, 6]
