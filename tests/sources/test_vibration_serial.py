"""Sensors on a serial line: the protocol, and a pseudo-terminal in place of the line."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import FakeClock
from edgeapp.sources._serial_frames import (
    FORMAT,
    MOST_PAYLOAD,
    SAMPLES,
    Format,
    FrameError,
    FrameFinder,
)
from edgeapp.sources.vibration import Vibration
from edgeapp.sources.vibration_options import VibrationOptions
from edgeapp.testing import Ran, run_source
from tests.sources.serial_sensor import Line, crc, format_frame, frame, samples_frame

MS = 1_000_000

# Frames


def test_the_checksum_is_the_one_that_catalogues_list() -> None:
    """CRC-16/CCITT-FALSE of "123456789" is 0x29B1; the finder accepts frames made with it."""
    assert crc(b"123456789") == 0x29B1
    assert FrameFinder().feed(frame(7, b"123456789")) == [(7, b"123456789")]


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=80)), st.lists(st.integers(1, 50), min_size=1))
def test_frames_come_out_whatever_the_pieces_they_came_in(
    payloads: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(frame(SAMPLES, payload) for payload in payloads)
    finder = FrameFinder()
    found = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        found += finder.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert found == [(SAMPLES, payload) for payload in payloads]
    assert (finder.broken, finder.skipped) == (0, 0)


Damage = tuple[bytes, int | None, int]
"""A frame's payload; where and how it is damaged, None for not at all."""
frames_damaged_or_not = st.lists(
    st.tuples(st.binary(max_size=60), st.none() | st.integers(0, 10_000), st.integers(1, 255)),
    max_size=12,
)


@settings(max_examples=50)
@given(frames_damaged_or_not, st.lists(st.binary(max_size=30), min_size=13, max_size=13))
def test_exactly_the_intact_frames_come_out_in_order(
    frames: list[Damage], garbage: list[bytes]
) -> None:
    """Any byte of any frame may be wrong, and anything may lie between frames."""
    stream = b""
    intact = []
    for (payload, at, flip), rubbish in zip(frames, garbage, strict=False):
        whole = bytearray(frame(SAMPLES, payload))
        if at is None:
            intact.append((SAMPLES, payload))
        else:
            whole[at % len(whole)] ^= flip
        stream += rubbish + whole
    stream += bytes(MOST_PAYLOAD + 8)  # enough for any length that a damaged frame may claim
    assert FrameFinder().feed(stream) == intact


@settings(max_examples=50)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_passed_over(noise: bytes) -> None:
    finder = FrameFinder()
    finder.feed(noise)
    after = finder.feed(bytes(MOST_PAYLOAD + 8) + frame(SAMPLES, b"alive"))
    assert after[-1] == (SAMPLES, b"alive")


@settings(max_examples=50)
@given(st.binary(max_size=80))
def test_a_format_is_read_or_refused(payload: bytes) -> None:
    with suppress(FrameError):
        said = Format.parse(payload)
        assert len(said.channels) == len(said.units) == len(said.scales)
        assert said.rate_hz > 0


@settings(max_examples=50)
@given(st.binary(max_size=80), st.sampled_from([2, 3]), st.integers(1, 5))
def test_samples_are_read_or_refused(payload: bytes, width: int, channels: int) -> None:
    names = tuple(f"c{n}" for n in range(channels))
    said = Format(100.0, width, names, ("g",) * channels, (1.0,) * channels)
    with suppress(FrameError):
        _, samples = said.samples(payload)
        assert samples.shape == (channels, (len(payload) - 4) // (width * channels))


@pytest.mark.parametrize("width", [2, 3])
def test_numbers_keep_their_sign_at_every_width(width: int) -> None:
    most = (1 << (8 * width - 1)) - 1
    scans = [[most, -most - 1], [-1, 1], [0, 258]]
    said = Format(100.0, width, ("x", "y"), ("g", "g"), (1.0, 1.0))
    _, payload = FrameFinder().feed(samples_frame(5, scans, width=width))[0]
    first, samples = said.samples(payload)
    assert first == 5
    assert samples.T.tolist() == scans


# The source


class Talking(FakeClock):
    """A clock. Whenever a source is about to wait for the line, the next piece has been sent.

    So each is read before the next one comes, and none before the line is open; nobody hurries.
    """

    def __init__(
        self, line: Line, *pieces: bytes | Callable[[], None], look_s: float = 0.0
    ) -> None:
        """`look_s`: so much time passes whenever somebody looks."""
        super().__init__()
        self._line = line
        self._pieces = iter(pieces)
        self._look_s = look_s

    def now_ns(self) -> int:
        self.advance(self._look_s)
        return super().now_ns()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        piece = next(self._pieces, b"")
        if callable(piece):
            piece()
        else:
            self._line.send(piece)
        return super().wait(event, timeout_s)


def scans(first: int, count: int) -> list[list[int]]:
    return [[n, -n] for n in range(first, first + count)]


def heard(line: Line, limit: int, *pieces: bytes, **options: Any) -> Ran:
    return run_source(
        Vibration,
        {"device": f"serial:{line.path}", "block_s": 0.1, **options},
        limit=limit,
        clock=Talking(line, *pieces),
    )


@pytest.fixture
def line() -> Iterator[Line]:
    with Line() as made:
        yield made


def test_samples_come_scaled_with_names_units_and_rate_of_the_sensor(line: Line) -> None:
    ran = heard(line, 1, format_frame(100, unit=2, scale=0.5), samples_frame(0, scans(0, 20)))
    (signal,) = ran.values
    assert (signal.rate_hz, signal.channels, signal.units) == (100, ("x", "y"), ("m/s²", "m/s²"))
    assert signal.samples[:, 2] == pytest.approx([9.80665, -9.80665])


def test_lost_frames_are_lost_exactly_and_no_block_spans_the_gap(line: Line) -> None:
    """Numbers 20 to 56 never come: 37 samples. They also pass from 2**32 - 1 to 0 meanwhile."""
    start = (1 << 32) - 10
    damaged = bytearray(samples_frame(start + 20, scans(20, 10)))
    damaged[9] ^= 1
    ran = heard(
        line,
        4,
        samples_frame(7, scans(7, 3)),  # before the format is known it cannot be read
        format_frame(100),
        samples_frame(start, scans(0, 10)) + samples_frame(start + 10, scans(10, 10)),
        bytes(damaged) + b"rubbish\xa5",
        samples_frame(start + 57, scans(57, 10)) + samples_frame(start + 67, scans(67, 10)),
    )
    assert [2 * value.samples[0, 0] for value in ran.values] == [0, 10, 57, 67]
    assert [packet.lost for packet in ran.packets] == [0, 0, 4, 0]
    before, behind = ran.packets[1:3]
    assert behind.t_ns - behind.span_ns - before.t_ns == 370 * MS
    assert ran.meters.lost == 4
    assert "damaged frames" in ran.log.said("warning")


def test_an_unplugged_line_is_waited_for(line: Line) -> None:
    talking = Talking(line, format_frame(100), samples_frame(0, scans(0, 10)), line.unplug)
    options = {"device": f"serial:{line.path}", "block_s": 0.1}
    ran = run_source(Vibration, options, epochs=2, clock=talking)
    assert len(ran.packets) == 1
    gone, absent = [e[2]["problem"] for e in ran.log.events if "unavailable" in e[1]]
    assert "is gone" in gone
    assert "cannot open" in absent
    assert ran.meters.faults == 0


@pytest.mark.parametrize(
    ("sent", "options", "says"),
    [
        ([b"\x00\xff\x13\x37" * 40] * 20, {}, "is that the sensor's baud rate"),
        ([samples_frame(0, [])] * 20, {}, "has not said what it sends"),
        ([], {}, "has sent nothing for 5 s"),
        ([format_frame(100)], {"rate_hz": 50.0}, "at 100 Hz, not at rate_hz 50 Hz"),
        ([format_frame(100)], {"channels": ["z"]}, "there is no column 'z'; there are: x, y"),
        ([format_frame(100), format_frame(200)], {}, "changed what it sends"),
        ([format_frame(100), frame(2, b"12345")], {}, "does not hold whole samples"),
        ([format_frame(100, unit=9)], {}, "has unit 9"),
        (
            [format_frame(100), samples_frame(9, [[1, 1]]), samples_frame(3, [[1, 1]])],
            {},
            "began to count anew",
        ),
    ],
)
def test_what_cannot_be_understood_is_said(
    line: Line, sent: list[bytes], options: dict[str, Any], says: str
) -> None:
    ran = run_source(
        Vibration,
        {"device": f"serial:{line.path}", "block_s": 1.0, **options},
        clock=Talking(line, *sent, look_s=0.5),
    )
    (problem,) = [e[2]["problem"] for e in ran.log.events if "unavailable" in e[1]]
    assert says in problem
    assert ran.meters.faults == 0


def test_a_speed_that_no_line_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError, match=r"no serial lines of 12345 baud.* 115200"):
        VibrationOptions(device="serial:/dev/ttyUSB0", baud=12345)


def test_a_path_that_is_no_line_is_waited_for() -> None:
    ran = run_source(Vibration, {"device": "serial:/dev/null"})
    (problem,) = [e[2]["problem"] for e in ran.log.events if "unavailable" in e[1]]
    assert "cannot be set up as a serial line" in problem


def test_every_sample_of_a_fast_sensor_arrives(line: Line) -> None:
    """26,667 Hz, three axes of 24 bits, in pieces as a line delivers them."""
    numbers = np.random.default_rng(1).integers(-(1 << 23), 1 << 23, (4000, 3))
    stream = format_frame(26_667, ("x", "y", "z"), width=3, scale=1.0)
    for first in range(0, 4000, 100):
        stream += samples_frame(first, numbers[first : first + 100].tolist(), width=3)
    pieces = [stream[at : at + 333] for at in range(0, len(stream), 333)]
    ran = heard(line, 29, *pieces, block_s=100 / 26_667)
    got = np.concatenate([value.samples for value in ran.values], axis=1).T
    assert np.array_equal(got, numbers[: len(got)].astype(np.float32))
    assert len(got) == 2900
    assert ran.meters.lost == 0


def test_kinds_have_the_numbers_that_the_document_names() -> None:
    assert (FORMAT, SAMPLES) == (1, 2)


DOCUMENT = Path(__file__).resolve().parents[2] / "docs/serial-protocol.md"
MAIN = """
#include <stdio.h>
void uart_write(const uint8_t *data, uint16_t count) { fwrite(data, 1, count, stdout); }
int main(void)
{
    static const int16_t samples[3][3] = {{1, -2, 3}, {-32768, 32767, 0}, {4, 5, 6}};
    send_format();
    send_samples(70000, samples, 3);
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_what_the_documents_c_code_sends_is_read(tmp_path: Path) -> None:
    code = DOCUMENT.read_text().partition("```c\n")[2].partition("```")[0]
    (tmp_path / "sensor.c").write_text(code + MAIN)
    program = tmp_path / "sensor"
    subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-o", program, tmp_path / "sensor.c"],
        check=True,
    )
    sent = subprocess.run([program], check=True, capture_output=True).stdout
    (_, what), (_, payload) = FrameFinder().feed(sent)
    said = Format.parse(what)
    assert said == Format(3200.0, 2, ("x", "y", "z"), ("g",) * 3, (1 / 256,) * 3)
    first, samples = said.samples(payload)
    assert first == 70_000
    assert samples.T.tolist() == [[1, -2, 3], [-32768, 32767, 0], [4, 5, 6]]
    assert sent[: len(sent) - len(samples_frame(0, [[0] * 3] * 3))] == format_frame(
        3200, "xyz", unit=2, scale=1 / 256
    )
