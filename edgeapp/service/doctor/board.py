"""The board: its power, heat, clock and memory."""

from collections.abc import Iterator

from edgeapp.core.clock import MonotonicClock
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding, failed, ok, unseen, warning
from edgeapp.watchdog.readings import Readings

_UNDER, _THROTTLED = 1 << 0, 0xE
_UNDER_ONCE, _THROTTLED_ONCE = 1 << 16, 0xE << 16
_LITTLE_MEMORY = 0.1
_DAY_S = 86_400
_SUPPLY = "use a power supply and a cable that are made for this board"


def power(case: Case) -> Iterator[Finding]:
    """Too little voltage, now or since the start, as the firmware of a Raspberry Pi remembers it."""
    bits = _throttled(case)
    if bits is None:
        readings = _readings(case)
        low = readings.read().undervoltage
        if low is None:
            yield ok("power", "this board says nothing of its voltage")
        elif low:
            yield failed("power", "the voltage is too low now", _SUPPLY)
        else:
            yield ok("power", "the voltage is right now")
        return
    since = "since it was switched on"
    if bits & _UNDER:
        yield failed("power", "the voltage is too low now", _SUPPLY)
    elif bits & _UNDER_ONCE:
        yield warning("power", f"the voltage was too low {since}", _SUPPLY)
    else:
        yield ok("power", f"the voltage was right {since}")
    if bits & (_THROTTLED | _THROTTLED_ONCE):
        when = "now" if bits & _THROTTLED else since
        fix = "let it breathe: a heat sink, a fan, a larger case"
        yield warning("throttling", f"the firmware slowed the cores down {when}", fix)


def _throttled(case: Case) -> int | None:
    """The word of a Raspberry Pi's firmware: the upper half is what ever was since the start."""
    machine = case.machine
    fixed = "/sys/devices/platform/soc/soc:firmware/get_throttled"
    if text := machine.text_or(fixed):
        return _hex(text)
    ran = machine.run(("vcgencmd", "get_throttled"), 3.0)
    return _hex(ran.out.strip().removeprefix("throttled=")) if ran.code == 0 else None


def _hex(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None


def _readings(case: Case) -> Readings:
    machine = case.machine
    return Readings(
        MonotonicClock(), sysfs_root=machine.path("/sys"), proc_root=machine.path("/proc")
    )


def temperature(case: Case) -> Iterator[Finding]:
    """Whether there is a sensor that the watchdog can go by."""
    readings = _readings(case)
    reading = readings.read()
    known = [(s.value_c, s.name) for s in reading.sensors if s.value_c is not None]
    if not known:
        said = "there is no sensor: the watchdog guesses the heat from the load"
        yield warning("temperature", said, "nothing, if the board has none; docs/watchdog.md")
        return
    celsius, name = max(known)
    trip_c = readings.trip_c
    if trip_c is not None and celsius >= trip_c:
        said = f"{celsius:.0f} °C at {name}: the board slows down from {trip_c:.0f} °C on"
        yield failed("temperature", said, "let it cool: a heat sink, a fan, shade")
        return
    limit = "" if trip_c is None else f", it slows down from {trip_c:.0f} °C on"
    yield ok("temperature", f"{celsius:.0f} °C at {name}{limit}")


def clock(case: Case) -> Iterator[Finding]:
    """Whether the time is set by somebody who knows it, and whether it outlives a power cut."""
    synchronised = case.machine.synchronised()
    if synchronised:
        yield ok("clock", "it is synchronised")
    else:
        said = "it is not synchronised: messages are marked so, and certificates may seem wrong"
        yield failed("clock", said, case.sudo("timedatectl set-ntp true"))
    chips = [name for name in case.machine.names("/sys/class/rtc") if name.startswith("rtc")]
    if chips:
        yield ok("clock chip", f"{chips[0]} keeps the time while the power is off")
    elif synchronised:
        yield ok("clock chip", "there is none: after a power cut the time comes from the network")
    else:
        said = "there is none, and the network gives no time either: after a power cut it is wrong"
        yield warning("clock chip", said, "give it a way to a time server, or a clock chip")


def memory(case: Case) -> Iterator[Finding]:
    """How much is left, and whether what does not fit goes to a card."""
    rows = {
        name: int(rest.split()[0]) // 1024
        for name, _, rest in (
            line.partition(":") for line in case.machine.text("/proc/meminfo").splitlines()
        )
        if rest.split() and rest.split()[0].isdecimal()
    }
    total, free = rows.get("MemTotal", 0), rows.get("MemAvailable", 0)
    said = f"{free:,} MB of {total:,} MB are left"
    if free < total * _LITTLE_MEMORY:
        yield warning("memory", said, "run fewer pipelines, or smaller models: edgeapp bench")
    else:
        yield ok("memory", said)
    swaps = [line.split()[0] for line in case.machine.text_or("/proc/swaps").splitlines()[1:]]
    worn = [name for name in swaps if not name.startswith("/dev/zram")]
    if worn:
        said = f"memory that does not fit goes to {worn[0]}, which is slow and wears flash"
        yield warning("swap", said, case.sudo(f"swapoff {worn[0]}"))


def board(case: Case) -> Iterator[Finding]:
    """What it is, and how long it has been on."""
    model = _readings(case).model or "an unknown board"
    try:
        up_s = float(case.machine.text("/proc/uptime").split()[0])
    except (OSError, ValueError, IndexError):
        yield unseen("board", f"{model}; since when it is on cannot be read")
        return
    days, rest = divmod(int(up_s), _DAY_S)
    since = f"{days} d {rest // 3600} h" if days else f"{rest // 3600} h {rest % 3600 // 60} min"
    yield ok("board", f"{model}, on for {since}")


CHECKS: tuple[Check, ...] = (board, power, temperature, clock, memory)
