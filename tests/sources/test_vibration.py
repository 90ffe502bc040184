import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeapp.api import FakeClock, Signal, Surroundings
from edgeapp.sources.vibration import Vibration
from edgeapp.sources.vibration_options import VibrationOptions
from edgeapp.testing import Ran, run_source

CSV = {"device": "pump.csv", "rate_hz": 10, "speed": "fast", "block_s": 1.0}


def write(folder: Path, text: str, name: str = "pump.csv") -> None:
    (folder / name).write_bytes(text.encode())


def played(folder: Path, **options: Any) -> Ran:
    return run_source(Vibration, {**CSV, **options}, folder=folder)


def joined(ran: Ran) -> NDArray[np.float32]:
    return np.concatenate([value.samples for value in ran.values], axis=1)


def complaint(folder: Path, **options: Any) -> str:
    """What the user is told about wrong options."""
    with pytest.raises(ValidationError) as caught:
        VibrationOptions.model_validate(
            {**CSV, **options}, context=Surroundings(folder=folder, data=folder)
        )
    (error,) = caught.value.errors()
    return error["msg"]


# CSV


def test_columns_are_chosen_by_name_in_the_order_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "time,x,y,z\n12:00,1,2,3\n12:01,4,5,6\n")
    ran = played(tmp_path, channels=["z", "x"])
    assert ran.values[0].channels == ("z", "x")
    assert joined(ran).tolist() == [[3, 6], [1, 4]]


def test_columns_may_be_renamed_and_numbered(tmp_path: Path) -> None:
    write(tmp_path, "time,x,y\n12:00,1,2\n12:01,4,5\n")
    ran = played(tmp_path, channels={"radial": "y", "axial": 2})
    assert ran.values[0].channels == ("radial", "axial")
    assert joined(ran).tolist() == [[2, 5], [1, 4]]


def test_by_default_every_column_of_numbers_but_the_time_is_a_channel(tmp_path: Path) -> None:
    write(tmp_path, "Time,x,note,y,\n0.1,1,ok,2,\n0.2,3,ok,4,\n")
    assert played(tmp_path).values[0].channels == ("x", "y")


def test_without_a_header_channels_are_numbered_or_named_in_order(tmp_path: Path) -> None:
    write(tmp_path, "1,2\n3,4\n")
    assert played(tmp_path).values[0].channels == ("ch1", "ch2")
    named = played(tmp_path, channels=["x", "y"])
    assert named.values[0].channels == ("x", "y")
    assert joined(named).tolist() == [[1, 3], [2, 4]]
    assert "gives 1 names, the recording has 2 channels" in complaint(tmp_path, channels=["x"])


@pytest.mark.parametrize(
    "text",
    [
        "x,y\r\n1.5,-2e3\r\n3,4\r\n",
        "x;y\n1,5;-2000\n3;4\n",
        "x\ty\n1,5\t-2000,0\n3\t4\n",
        "\ufeffx,y\n 1.5 , -2000 \n3,4",
        '"x","y"\n"1.5","-2000"\n"3","4"\n',
        "x,y\n1.5,-2000\n3,4\n,\n,\n",
    ],
    ids=["CRLF", "semicolon, decimal comma", "tab", "BOM, spaces", "quotes", "empty rows at end"],
)
def test_dialects_of_csv_read_the_same(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    ran = played(tmp_path)
    assert ran.values[0].channels == ("x", "y")
    assert joined(ran).tolist() == [[1.5, 3], [-2000, 4]]
    assert ran.log.said("warning") == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("nan,1", "line 16 has 'nan' in column 1"),
        ("1,inf", "line 16 has 'inf' in column 2"),
        ("1,1e39", "line 16 has '1e39' in column 2"),
        ("1,", "line 16 has '' in column 2"),
        ("off,1", "line 16 has 'off' in column 1"),
        ("1", "line 16 has 1 columns instead of 2"),
        ("1,2,3", "line 16 has 3 columns instead of 2"),
        ("", "line 16 is empty"),
        (",", "line 16 is empty"),
    ],
)
def test_a_bad_sample_drops_its_block_which_counts_as_lost(
    tmp_path: Path, row: str, says: str
) -> None:
    """Thirty samples in blocks of ten; the second block holds the bad line, line 16."""
    rows = [f"{n},{-n}" for n in range(30)]
    rows[14] = row
    write(tmp_path, "\n".join(["x,y", *rows]))
    ran = played(tmp_path)
    assert [value.samples[0, 0] for value in ran.values] == [0, 20]
    assert [packet.lost for packet in ran.packets] == [0, 1]
    assert [packet.t_ns for packet in ran.packets] == [10**9, 3 * 10**9]
    ((level, event, facts),) = ran.log.events
    assert (level, event, facts["because"]) == ("warning", "samples cannot be used", says)


def test_many_bad_blocks_are_logged_once_and_counted_all(tmp_path: Path) -> None:
    rows = ["1" if n in {0, 39} else "bad" for n in range(40)]
    write(tmp_path, "\n".join(["x", *rows]))
    ran = played(tmp_path, block_s=0.1)
    assert [packet.lost for packet in ran.packets] == [0, 38]
    assert ran.meters.lost == 38
    assert len(ran.log.events) == 1


def test_a_missing_column_is_complained_about_with_those_that_there_are(tmp_path: Path) -> None:
    write(tmp_path, "time,x,y,,\n1,2,3,,\n")
    assert complaint(tmp_path, channels=["x", "vib9"]).endswith(
        "there is no column 'vib9'; there are: time, x, y"
    )
    assert "no column 9" in complaint(tmp_path, channels={"x": 9})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("x,y\n", "holds no samples"),
        ("\n\n,,\n", "holds no samples"),
        ("name,note\na,b\n", "no column of numbers: name, note"),
        ("\0\1\2\n", "is not text"),
        ("x" * 100_000, "is not text"),
    ],
)
def test_a_file_that_is_no_recording_is_complained_about(
    tmp_path: Path, text: str, says: str
) -> None:
    write(tmp_path, text)
    assert says in complaint(tmp_path)


# WAV


def write_wav(path: Path, kind: int, bits: int, data: bytes, *, size: int | None = None) -> None:
    """Two channels at 8 kHz, with a chunk of odd length before the samples."""
    width = 2 * bits // 8
    form = struct.pack("<HHIIHH", kind, 2, 8000, 8000 * width, width, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"note\x03\0\0\0abc\0"
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


WAVES = np.array([[0.0, 0.5, -1.0, 0.25], [0.25, -0.5, 0.0, -0.25]])
WAV = {"device": "sound.wav", "rate_hz": None}


@pytest.mark.parametrize(
    ("kind", "bits", "data"),
    [
        (1, 8, (WAVES.T * 128 + 128).astype(np.uint8).tobytes()),
        (1, 16, (WAVES.T * 2**15).astype("<i2").tobytes()),
        (1, 24, (WAVES.T * 2**31).astype("<i4").reshape(-1, 1).view("u1")[:, 1:].tobytes()),
        (1, 32, (WAVES.T * 2**31).astype("<i4").tobytes()),
        (3, 32, WAVES.T.astype("<f4").tobytes()),
        (3, 64, WAVES.T.astype("<f8").tobytes()),
    ],
)
def test_wav_of_every_width_reads_the_same(
    tmp_path: Path, kind: int, bits: int, data: bytes
) -> None:
    write_wav(tmp_path / "sound.wav", kind, bits, data)
    ran = played(tmp_path, **WAV, channels=["x", "y"])
    assert ran.values[0].rate_hz == 8000
    np.testing.assert_array_equal(joined(ran), WAVES)


def test_wav_that_the_standard_library_wrote_is_read(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.arange(1000, dtype="<i2").tobytes())
    ran = played(tmp_path, **WAV, unit="g", full_scale=16)
    assert joined(ran)[0, 999] == pytest.approx(999 / 2**15 * 16 * 9.80665)


def test_a_wav_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    data = (WAVES.T * 2**15).astype("<i2").tobytes()
    write_wav(tmp_path / "sound.wav", 1, 16, data[:-3], size=len(data))
    ran = played(tmp_path, **WAV)
    np.testing.assert_array_equal(joined(ran), WAVES[:, :3])
    assert ran.log.said("warning") == ["recording is cut short"]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_wav_whose_recorder_never_wrote_its_length_is_read_to_the_end(
    tmp_path: Path, size: int
) -> None:
    data = (WAVES.T * 2**15).astype("<i2").tobytes()
    write_wav(tmp_path / "sound.wav", 1, 16, data, size=size)
    np.testing.assert_array_equal(joined(played(tmp_path, **WAV)), WAVES)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"RIFF\0\0\0\0WAVE", "without samples"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0", "without samples"),
        (b"not a wave file at all", "is not a WAV file"),
    ],
)
def test_a_broken_wav_is_complained_about(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "sound.wav").write_bytes(data)
    assert says in complaint(tmp_path, **WAV)


def test_a_wav_of_a_kind_that_is_not_read_says_which_are(tmp_path: Path) -> None:
    write_wav(tmp_path / "sound.wav", 6, 8, b"\0" * 8)
    assert "PCM of 8, 16, 24 or 32 bits, or floats" in complaint(tmp_path, **WAV)
    write_wav(tmp_path / "sound.wav", 1, 16, b"\0" * 8)
    assert "was sampled at 8000 Hz" in complaint(tmp_path, device="sound.wav", rate_hz=44_100)


def test_nan_in_a_float_wav_drops_its_block(tmp_path: Path) -> None:
    waves = np.zeros((2400, 2), "<f4")
    waves[1000, 1] = np.nan
    write_wav(tmp_path / "sound.wav", 3, 32, waves.tobytes())
    ran = played(tmp_path, **WAV, block_s=0.1)
    assert [packet.lost for packet in ran.packets] == [0, 1]
    assert ran.log.events[0][2]["because"] == "sample 1001 is nan in channel 2"


# NPY


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "<i2", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("across", [True, False])
def test_npy_of_any_layout_reads_the_same(
    tmp_path: Path, dtype: str, order: Any, across: bool
) -> None:
    array = np.arange(75).reshape(25, 3)
    np.save(tmp_path / "a.npy", np.array(array.T if across else array, dtype, order=order))
    ran = played(tmp_path, device="a.npy", channels={"z": 3, "x": 1})
    np.testing.assert_array_equal(joined(ran), array[:, [2, 0]].T)


def test_npy_of_one_dimension_is_one_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(25.0))
    assert joined(played(tmp_path, device="a.npy")).tolist() == [list(range(25))]


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([{"a": 1}]), "not real numbers"),
        (np.zeros(5, complex), "not real numbers"),
        (np.zeros((2, 3, 4)), "has the shape (2, 3, 4)"),
        (np.zeros((0, 3)), "has the shape (0, 3)"),
    ],
)
def test_npy_that_is_no_signal_is_complained_about(
    tmp_path: Path, array: NDArray[Any], says: str
) -> None:
    """An object array would be unpickled, that is, run."""
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert says in complaint(tmp_path, device="a.npy")


def test_npy_that_is_cut_short_or_none_is_complained_about(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(100))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-10])
    assert "is cut short" in complaint(tmp_path, device="a.npy")
    for damaged in b"something else", b"\x93NUMPY\x01\0\x0c\0{'descr': (((", b"\x93NUMPY\x09\0":
        (tmp_path / "a.npy").write_bytes(damaged)
        assert "is not an NPY file" in complaint(tmp_path, device="a.npy")


# units, pace, options


@pytest.mark.parametrize(
    ("options", "value", "unit"),
    [
        ({}, 2.0, "1"),
        ({"unit": "g"}, 19.6133, "m/s²"),
        ({"unit": "m/s2"}, 2.0, "m/s²"),
        ({"unit": "bar"}, 2.0, "bar"),
        ({"unit": "V"}, 2.0, "V"),
        ({"unit": "mV", "sensitivity_mv_per_g": 100}, 0.196133, "m/s²"),
        ({"unit": "V", "sensitivity_mv_per_g": {"x": 100}}, 196.133, "m/s²"),
        ({"unit": {"x": "g"}}, 19.6133, "m/s²"),
        ({"unit": {"y": "g"}}, 2.0, "1"),
    ],
)
def test_units_become_metres_per_second_squared_or_stay(
    tmp_path: Path, options: dict[str, Any], value: float, unit: str
) -> None:
    write(tmp_path, "x,y\n2,2\n")
    (signal,) = played(tmp_path, **options).values
    assert signal.samples[0, 0] == pytest.approx(value, rel=1e-6)
    assert signal.units[0] == unit


def test_loop_goes_on_in_time(tmp_path: Path) -> None:
    write(tmp_path, "x\n1\n2\n3\n")
    ran = run_source(Vibration, {**CSV, "loop": True, "block_s": 0.2}, folder=tmp_path, limit=6)
    assert joined(ran)[0].tolist()[:9] == [1, 2, 3] * 3
    times = [packet.t_ns for packet in ran.packets][:4]
    assert times == [200_000_000, 300_000_000, 500_000_000, 600_000_000]


def test_in_real_time_a_recording_takes_as_long_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, "\n".join(["x", *["0"] * 50]))
    clock = FakeClock()
    run_source(Vibration, {**CSV, "speed": "real_time"}, folder=tmp_path, clock=clock)
    assert clock.now_ns() == pytest.approx(5e9, rel=0.25)


def test_time_does_not_drift_at_an_odd_rate(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(100_000, np.float32))
    ran = played(tmp_path, device="a.npy", rate_hz=3134.7, block_s=0.05)
    numerator, denominator = (3134.7).as_integer_ratio()
    assert ran.packets[-1].t_ns == 100_000 * 10**9 * denominator // numerator


def test_a_file_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    """Deleted after the check: the world's fault, not the pipeline's."""
    write(tmp_path, "x\n1\n")
    options = VibrationOptions.model_validate(CSV, context=Surroundings(tmp_path, tmp_path))
    (tmp_path / "pump.csv").unlink()
    ran = run_source(Vibration, options, epochs=2)
    assert ran.packets == []
    assert ran.log.said("error") == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "none.csv"}, "there is no file"),
        ({"device": "iio:adxl355"}, "speed is for recordings"),
        ({"device": "pump.xls"}, "is not a .csv, .txt, .wav or .npy file"),
        ({"rate_hz": None}, "give rate_hz"),
        ({"unit": {"a": "g"}}, "unit is given for a; the channels are x, y"),
        ({"sensitivity_mv_per_g": 100}, "whose unit is V or mV"),
        ({"sensitivity_mv_per_g": -1}, "a number above 0"),
        ({"full_scale": 2.0}, "full_scale is for WAV files"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    write(tmp_path, "x,y\n1,2\n")
    write(tmp_path, "whatever", "pump.xls")
    assert says in complaint(tmp_path, **options)


@pytest.mark.parametrize(
    ("pumps", "lines"), [(1, 6549), (2, 6140), (3, 6383), (4, 7763), (5, 7154)]
)
def test_recordings_of_a_pump_rig_are_read_whole(data_dir: Path, pumps: int, lines: int) -> None:
    """CRLF, spaces after numbers; the first has empty columns, empty lines and a time of its own."""
    ran = played(data_dir / "vibration", device=f"whut_{pumps}pump.csv", unit={"pre1": "MPa"})
    assert joined(ran).shape == (8, lines)
    assert ran.values[0].channels == (
        "pre1",
        "pre2",
        "vib1",
        "vib2",
        "vib3",
        "vib4",
        "flow2",
        "flow1",
    )
    assert ran.packets[-1].t_ns == lines * 10**8
    assert ran.log.said("warning") == []
    first: Signal = ran.values[0]
    assert first.units[:2] == ("MPa", "1")
