"""What the hardware says itself: undervoltage, throttling, over-current."""

import errno

import pytest

from edgeapp.watchdog.signals.files import TreeFiles
from edgeapp.watchdog.signals.hwmon import chips_of
from edgeapp.watchdog.signals.throttling import Overcurrent, RaspberryPi, Slowdown
from tests.watchdog.trees import LAPTOP, ORIN, PI_4, Folder, tree

BITS = "/sys/bus/platform/devices/soc:firmware/get_throttled"
ALARM = "/sys/class/hwmon/hwmon1/in0_lcrit_alarm"


def pi(files: TreeFiles) -> RaspberryPi:
    made = RaspberryPi(files, "/sys")
    made.probe(chips_of(files, "/sys"))
    return made


def firmware(bits: str | OSError, **more: Folder) -> TreeFiles:
    return tree(
        {"sys": {"bus": {"platform": {"devices": {"soc:firmware": {"get_throttled": bits}}}}}}, more
    )


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ("0", (False, False)),
        ("1", (True, False)),
        ("2", (False, True)),  # clock capped
        ("4", (False, True)),  # throttled
        ("8", (False, True)),  # soft limit of a 3B+
        ("50005", (True, True)),
        ("80008", (False, True)),
        ("0x50000", (False, False)),  # it was so before we came
        ("throttled=0x5", (True, True)),
        ("5000g", (None, None)),
        ("fffffff0", (None, None)),
        ("-1", (None, None)),
        (OSError(errno.EIO, "Input/output error"), (None, None)),
    ],
)
def test_bits_of_the_firmware(bits: str | OSError, expected: tuple[bool | None, ...]) -> None:
    assert pi(firmware(bits)).read() == expected


def test_bits_without_the_bus_are_found_at_their_old_place() -> None:
    old: Folder = {
        "sys": {"devices": {"platform": {"soc": {"soc:firmware": {"get_throttled": "1"}}}}}
    }
    assert pi(tree(old)).read() == (True, False)


def test_what_happened_between_two_readings_counts_once() -> None:
    files = firmware("0")
    board = pi(files)
    answers = []
    for bits in ("10000", "50000", "50000", "0", "50000"):
        files[BITS] = bits
        answers.append(board.read())
    assert answers == [
        (False, False),  # as it was when we came
        (False, True),
        (False, False),
        (False, False),  # the driver of hwmon has cleared them
        (True, True),
    ]


def test_alarm_of_hwmon_goes_before_the_bits() -> None:
    files = tree(PI_4)
    board = pi(files)
    files[BITS] = "50005"
    assert board.read()[0] is False
    files[ALARM] = "1"
    assert board.read() == (True, True)
    files[ALARM] = OSError(errno.EIO, "Input/output error")
    assert board.read()[0] is True, "then the bits are better than nothing"


def slowdown(files: TreeFiles) -> Slowdown:
    made = Slowdown(files, "/sys")
    made.probe("")
    return made


def test_clock_held_down_by_the_kernel_is_throttling() -> None:
    files = tree(PI_4)
    board = slowdown(files)
    assert board.read() is False
    files["/sys/class/thermal/cooling_device0/cur_state"] = "2"
    assert board.read() is True


def test_fan_that_turns_is_no_throttling() -> None:
    fan: Folder = {"cooling_device0": {"type": "pwm-fan", "cur_state": 3}}
    assert slowdown(tree({"sys": {"class": {"thermal": fan}}})).read() is None


def test_alert_of_a_jetson_stands_for_all_its_cores() -> None:
    files = tree(ORIN)
    board = slowdown(files)
    files["/sys/class/thermal/cooling_device0/cur_state"] = "3"
    assert board.read() is False
    files["/sys/class/thermal/cooling_device3/cur_state"] = "1"
    assert board.read() is True


def test_counter_of_an_x86_processor_says_throttled_when_it_rises() -> None:
    files = tree(LAPTOP)
    board = slowdown(files)
    path = "/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    answers = []
    for count in ("9", "12", "12", "0", "x", "5"):
        files[path] = count
        answers.append(board.read())
    assert answers == [False, True, False, False, False, False]


def test_overcurrent_events_only_grow() -> None:
    """Also when the counters go back or cannot be read for a while."""
    files = tree(ORIN)
    events = Overcurrent(files)
    events.probe(chips_of(files, "/sys"))
    path = "/sys/class/hwmon/hwmon3/oc3_event_cnt"
    answers = []
    for count in ("37", "40", "x", "41", "2", "2"):
        files[path] = count
        answers.append(events.read())
        events.probe(chips_of(files, "/sys"))
    assert answers == [0, 3, 3, 4, 6, 6]
