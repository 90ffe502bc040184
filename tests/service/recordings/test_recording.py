"""The recording file: lossless, bounded, and readable after a power cut; damage is told."""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.core import answers, payload
from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.packet import Hop, Packet
from edgeapp.core.payload import (
    Bands,
    Detections,
    Features,
    Image,
    Payload,
    Score,
    Signal,
    Spectrogram,
    Tracks,
    View,
)
from edgeapp.service.recordings.codec import CLASSES
from edgeapp.service.recordings.recording import (
    Ending,
    Header,
    Recording,
    RecordingError,
    RecordingWriter,
)

CHANCE = np.random.default_rng(0)
PICTURE = Image(CHANCE.integers(0, 8, (24, 32, 3), np.uint8), View(0.1, 0.2, 0.5, 0.5))
VALUES: dict[str, Payload] = {
    "grey": Image(CHANCE.integers(0, 255, (16, 20), np.uint8)),
    "colour": PICTURE,
    "bands": Bands(CHANCE.integers(0, 999, (2, 5, 7)).astype(np.uint16), ("red", "nir")),
    "bands of bytes": Bands(np.zeros((2, 50, 70), np.uint8), ("red", "nir")),
    "noise": Signal(CHANCE.normal(size=(2, 99)).astype(np.float32), 48_000, ("x", "y"), ("g", "1")),
    "silence": Signal(np.zeros((1, 4096), np.float32), 16_000.0, ("mono",), ("1",)),
    "not a number": Signal(np.array([[np.nan, -0.0, np.inf]], np.float32), 1.0, ("x",), ("1",)),
    "no samples": Signal(np.zeros((1, 0), np.float32), 1.0, ("x",), ("1",)),
    "spectrogram": Spectrogram(np.ones((3, 2), np.float32), 100.0, (60.0, 120.5), "log"),
    "features": Features(np.array([1.5, np.nan]), ("x.rms", "x.peak"), ("g", "g")),
    "score": Score(0.1 + 0.2, ready=False, progress=1 / 3, parts={"t2": np.float32(0.1).item()}),
    "score of numpy": Score(np.float64(1) / 3),
    "detections": Detections(
        np.array([[0.1, 0.2, 0.3, 0.4]], np.float32),
        np.array([0.9], np.float32),
        np.array([0], np.int32),
        ("person",),
        PICTURE,
    ),
    "tracks": Tracks(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.int32),
        ("person",),
        ids=np.zeros(0, np.int64),
    ),
    "labels": Labels(np.array([0.25, 0.75], np.float32), ("yes", "no")),
    "mask": Mask(np.zeros((4, 4), np.uint8), ("soil",)),
    "pose": Pose(np.zeros(3), np.ones(3), "marker 7", 0.5),
    "event": Event("new", "e-1", "zone", "person", 2**62, facts={"zone": "door", "big": True}),
}


def header(*sources: str) -> Header:
    return Header(
        1, "porch", "name: porch\n", (), "here", 7, {s: ["Image"] for s in sources}, (), {}
    )


def packet(value: Payload, seq: int = 0, *, origin: str = "cam", lost: int = 0) -> Packet[Any]:
    trail = (Hop("detect", "detector", "nano", 1),)
    return Packet(value, origin, 3, seq, 2, seq * 10**9, 99, 5, lost, trail)


def written(file: Path, packets: Sequence[Packet[Any]], **ending: Any) -> Path:
    with RecordingWriter(file, header("cam"), max_bytes=10**8) as writer:
        for one in packets:
            assert writer.add(one)
        writer.finish(Ending(len(packets), "finished", **ending))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.edgerec"


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit and of the same types, at every depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | np.generic):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or one != one  # noqa: PLR0124 - not a number


# -- without loss ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
def test_every_payload_comes_back_to_the_last_bit(name: str, file: Path) -> None:
    value = VALUES[name]
    [back] = Recording(written(file, [packet(value, 4, lost=2)])).packets()
    assert same(back.value, value)
    assert back._replace(value=0) == packet(value, 4, lost=2)._replace(value=0, taken_ns=0)


def test_every_payload_that_there_is_can_be_recorded() -> None:
    """A new payload class belongs into the table."""
    known = {
        cls.__name__
        for module in (payload, answers)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Payload) and cls is not Payload
    }
    assert known | {"View"} == set(CLASSES)
    assert {type(value).__name__ for value in VALUES.values()} == known


@given(
    pixels=st.binary(min_size=12, max_size=12 * 40),
    width=st.integers(1, 12),
    colour=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_any_pixels_come_back(
    pixels: bytes, width: int, colour: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    depth = 3 if colour else 1
    flat = np.frombuffer(pixels, np.uint8)
    rows = len(flat) // (width * depth) or 1
    array = np.resize(flat, (rows, width, 3) if colour else (rows, width))
    file = tmp_path_factory.mktemp("pixels") / "a.edgerec"
    [back] = Recording(written(file, [packet(Image(array.copy()))])).packets()
    assert np.array_equal(back.value.pixels, array)


def test_flat_pictures_and_silence_are_stored_small(file: Path) -> None:
    flat = Image(np.full((200, 200, 3), 90, np.uint8))
    written(file, [packet(flat, n) for n in range(5)])
    assert file.stat().st_size < flat.pixels.nbytes


def test_a_value_that_nobody_knows_is_refused(file: Path) -> None:
    class Mine(Payload):
        pass

    with (
        RecordingWriter(file, header("cam"), max_bytes=10**6) as writer,
        pytest.raises(TypeError, match="a Mine cannot be recorded"),
    ):
        writer.add(packet(Mine()))


# -- bounded, and whole or a draft ----------------------------------------------------------


def test_a_recording_never_has_more_bytes_than_it_may(file: Path) -> None:
    noise = Image(CHANCE.integers(0, 255, (100, 100, 3), np.uint8))
    with RecordingWriter(file, header("cam"), max_bytes=200_000) as writer:
        count = 0
        while writer.add(packet(noise, count)):
            count += 1
        writer.finish(Ending(count, "full"))
    assert 5 <= count <= 7
    assert file.stat().st_size <= 200_000
    assert len(Recording(file)) == count


def test_until_it_is_whole_it_is_a_draft_that_can_be_read(file: Path) -> None:
    with RecordingWriter(file, header("cam"), max_bytes=10**6) as writer:
        writer.add(packet(PICTURE))
        assert not file.exists()
    draft = Recording(writer.draft)
    assert (len(draft), draft.ending, draft.unread_bytes) == (1, None, 0)


def test_a_draft_without_a_packet_is_not_left_behind(file: Path) -> None:
    with RecordingWriter(file, header("cam"), max_bytes=10**6):
        pass
    assert not list(file.parent.iterdir())


def test_what_was_there_is_never_overwritten(file: Path) -> None:
    file.with_name("a.edgerec.part").write_text("precious")
    with pytest.raises(FileExistsError):
        RecordingWriter(file, header("cam"), max_bytes=10**6)


def test_missing_packets_are_told_by_the_next_one(file: Path) -> None:
    with RecordingWriter(file, header("cam"), max_bytes=10**6) as writer:
        writer.add(packet(PICTURE, 4, lost=1), missing=3)
        writer.finish(Ending(1, "stopped", {"cam": 3}))
    recording = Recording(file)
    [back] = recording.packets()
    assert back.lost == 4
    assert recording.ending
    assert recording.ending.missing == {"cam": 3}


# -- damage ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    small = Image(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    values = [small, Signal(np.zeros((1, 64), np.float32), 1.0, ("x",), ("1",)), VALUES["event"]]
    packets = [packet(value, seq) for seq, value in enumerate(values)]
    return written(tmp_path_factory.mktemp("intact") / "a.edgerec", packets).read_bytes()


EVERY = pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.slow)])


def read(file: Path, content: bytes) -> list[Packet[Any]]:
    file.write_bytes(content)
    return list(Recording(file).packets())


@EVERY
def test_a_power_cut_at_any_byte_leaves_the_packets_before_it(
    every: int, intact: bytes, file: Path
) -> None:
    counts = []
    said = []
    for cut in range(0, len(intact), every):
        try:
            counts.append(len(read(file, intact[:cut])))
        except RecordingError as error:
            said.append(str(error))
            counts.append(-1)
    assert counts == sorted(counts)
    assert set(counts) == {-1, 0, 1, 2, 3}
    assert all("no whole header" in one or "is no recording" in one for one in said)


def test_zeros_behind_the_last_whole_frame_are_a_power_cut_too(intact: bytes, file: Path) -> None:
    """Some file systems grow a file before its content is on the disk."""
    file.write_bytes(intact[:-60] + bytes(4096))
    recording = Recording(file)
    assert recording.ending is None
    assert recording.unread_bytes > 4000
    assert len(list(recording.packets())) >= 2


@EVERY
def test_a_flipped_byte_anywhere_is_told(every: int, intact: bytes, file: Path) -> None:
    """No byte may change without notice: an error, or a recording that says it was cut off."""
    told = []
    places = range(0, len(intact), every)
    for place in places:
        content = bytearray(intact)
        content[place] ^= 0x41
        file.write_bytes(content)
        try:
            recording = Recording(file)
        except RecordingError as error:
            told.append(str(error))
        else:
            assert recording.ending is None, place
    assert len(told) > 0.9 * len(places)
    assert all("a.edgerec" in sentence for sentence in told)


@given(content=st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_any_bytes_give_a_sentence(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("any") / "x"
    for start in (b"", b"edgerec1"):
        with pytest.raises(RecordingError):
            read(file, start + content)


def frames(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    at = 8
    while at + 9 < len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        yield at, content[at + 8 : at + 9], content[at + 9 : at + 9 + length]
        at += 9 + length


@given(place=st.integers(0, 400), flip=st.integers(1, 255), which=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_a_packet_that_was_forged_gives_a_sentence(
    intact: bytes, place: int, flip: int, which: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With a right checksum, so that only the content is wrong: never anything but our error."""
    at, letter, body = [frame for frame in frames(intact) if frame[1] == b"P"][which]
    forged = bytearray(body)
    forged[place % len(forged)] ^= flip
    checksum = zlib.crc32(forged, zlib.crc32(letter)).to_bytes(4, "little")
    content = intact[: at + 4] + checksum + letter + bytes(forged) + intact[at + 9 + len(body) :]
    try:
        read(tmp_path_factory.mktemp("forged") / "x", content)
    except RecordingError as error:
        assert "is damaged" in str(error)  # noqa: PT017 - some bytes may well change a pixel


def test_a_newer_format_is_named(intact: bytes, file: Path) -> None:
    at, letter, body = next(frames(intact))
    newer = json.dumps(json.loads(body) | {"version": 2, "versions": {"edgeapp": "9.1"}}).encode()
    checksum = zlib.crc32(newer, zlib.crc32(letter))
    head = len(newer).to_bytes(4, "little") + checksum.to_bytes(4, "little") + letter
    file.write_bytes(intact[:at] + head + newer + intact[at + 9 + len(body) :])
    with pytest.raises(RecordingError, match=r"newer edgeapp \(9\.1\)"):
        Recording(file)
