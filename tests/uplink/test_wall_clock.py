import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.clock import NS, FakeClock, MonotonicClock
from edgeapp.uplink.wall_clock import (
    Instant,
    Offset,
    Timesyncd,
    WallClock,
    boot_id,
    wall_clock_is_synchronised,
)

NOON_NS = 1_800_000_000 * NS
TEN_YEARS_NS = 315_576_000 * NS


class Machine:
    """A monotonic clock, a wall clock that can be stepped, and a kernel that judges it."""

    def __init__(self, *, offset_ns: int = NOON_NS, synced: bool = True, boot: str = "now") -> None:
        self.clock = FakeClock(100 * NS)
        self.offset_ns = offset_ns
        self.synced = synced
        self.asked = 0
        self.wall = WallClock(
            self.clock, boot=boot, wall_ns=self._wall_ns, synchronised=self._is_synced
        )

    def _wall_ns(self) -> int:
        self.asked += 1
        return self.clock.now_ns() + self.offset_ns

    def _is_synced(self) -> bool:
        return self.synced

    def step(self, by_ns: int) -> None:
        """As `date -s` does it: the kernel knows that the clock is not what NTP made it."""
        self.offset_ns += by_ns
        self.synced = False

    def ntp(self) -> None:
        """NTP sets the clock right."""
        self.offset_ns = NOON_NS
        self.synced = True


def test_wall_time_is_monotonic_time_and_the_offset() -> None:
    assert Machine().wall.time_of(5 * NS) == Instant(NOON_NS + 5 * NS, synced=True)


def test_until_it_is_synchronised_the_wall_clock_is_the_best_guess() -> None:
    machine = Machine(offset_ns=0, synced=False)
    assert machine.wall.time_of(5 * NS) == Instant(5 * NS, synced=False)
    machine.step(NOON_NS)  # somebody sets it by hand
    machine.clock.advance(1.0)
    assert machine.wall.time_of(5 * NS) == Instant(NOON_NS + 5 * NS, synced=False)
    machine.ntp()
    machine.clock.advance(1.0)
    assert machine.wall.time_of(5 * NS) == Instant(NOON_NS + 5 * NS, synced=True)


def test_the_clocks_are_read_once_a_second() -> None:
    machine = Machine()
    for _ in range(10):
        machine.wall.offset()
        machine.clock.advance(0.25)
    assert machine.asked == 3


def test_once_synchronised_a_step_moves_nothing() -> None:
    machine = Machine()
    before = machine.wall.offset()
    machine.step(-TEN_YEARS_NS)
    for _ in range(3):
        machine.clock.advance(1.0)
        assert machine.wall.offset() == before


def test_what_ntp_sets_is_taken_also_when_it_is_far_off() -> None:
    machine = Machine(offset_ns=NOON_NS + 90 * NS)
    assert machine.wall.offset() == Offset(NOON_NS + 90 * NS, synced=True)
    machine.ntp()
    machine.clock.advance(1.0)
    assert machine.wall.offset() == Offset(NOON_NS, synced=True)


def test_the_offset_stays_the_same_within_what_reading_two_clocks_can_tell() -> None:
    """So that nobody has to write it down again."""
    machine = Machine()
    before = machine.wall.offset()
    machine.offset_ns += 999_999
    machine.clock.advance(1.0)
    assert machine.wall.offset() is before
    machine.offset_ns += 1
    machine.clock.advance(1.0)
    assert machine.wall.offset() == Offset(NOON_NS + 1_000_000, synced=True)


def test_a_step_amid_a_reading_is_no_synchronised_time() -> None:
    """The kernel is asked again after the wall clock was read."""
    clock = FakeClock()
    answers = iter([True, False])
    wall = WallClock(clock, boot="now", wall_ns=lambda: 7, synchronised=lambda: next(answers))
    assert wall.offset() == Offset(0, synced=False)  # 7 ns are noise


def test_the_quickest_of_a_few_readings_counts() -> None:
    """A thread that is put aside between two clocks sees them apart."""

    class Slow(FakeClock):
        def __init__(self) -> None:
            super().__init__(0)
            self.steps = iter([0, 0, 8_000_000, 8_000_000, 8_200_000, 8_200_000, 8_210_000])

        def now_ns(self) -> int:
            return next(self.steps)

    walls = iter([NOON_NS, NOON_NS + 8_100_000, NOON_NS + 8_205_000])
    wall = WallClock(Slow(), boot="now", wall_ns=lambda: next(walls), synchronised=lambda: True)
    assert wall.offset().offset_ns == NOON_NS


def test_of_an_earlier_boot_only_what_was_learned_is_known() -> None:
    machine = Machine()
    machine.wall.learn(
        {"right": Offset(NOON_NS - 900 * NS, synced=True), "guess": Offset(0, synced=False)}
    )
    wall = machine.wall
    assert wall.time_of(5 * NS, "right") == Instant(NOON_NS - 895 * NS, synced=True)
    assert wall.age_ns(5 * NS, "right") == 995 * NS
    assert wall.time_of(5 * NS, "guess") == Instant(5 * NS, synced=False)
    assert wall.age_ns(5 * NS, "guess") is None
    assert wall.time_of(5 * NS, "lost") == Instant(NOON_NS, synced=False)
    assert wall.age_ns(5 * NS, "lost") is None
    # What is of this boot is not of an earlier one.
    wall.learn({"now": Offset(1, synced=True)})
    assert wall.time_of(5 * NS, "now") == wall.time_of(5 * NS)


def test_the_age_of_an_earlier_boot_is_known_once_there_is_a_clock() -> None:
    machine = Machine(offset_ns=0, synced=False)
    machine.wall.learn({"before": Offset(NOON_NS - 900 * NS, synced=True)})
    assert machine.wall.age_ns(0, "before") is None
    assert machine.wall.least_age_ns(0, "before") == 100 * NS  # older than this boot
    machine.ntp()
    machine.clock.advance(1.0)
    assert machine.wall.age_ns(0, "before") == 1001 * NS
    assert machine.wall.least_age_ns(0, "before") == 1001 * NS


@given(
    st.lists(
        st.one_of(
            st.integers(-TEN_YEARS_NS, TEN_YEARS_NS),
            st.just("ntp"),
            st.floats(0.0, 5000.0),
        ),
        max_size=30,
    )
)
def test_steps_of_ten_years_move_neither_ages_nor_a_time_that_was_synchronised(
    events: list[int | float | str],
) -> None:
    machine = Machine(offset_ns=0, synced=False)
    machine.wall.learn({"before": Offset(NOON_NS - 50 * NS, synced=True)})
    was_synced = False
    for event in events:
        if isinstance(event, int):
            machine.step(event)
        elif isinstance(event, float):
            machine.clock.advance(event)
        else:
            machine.ntp()
        machine.clock.advance(1.0)
        now_ns = machine.clock.now_ns()
        was_synced = was_synced or machine.synced
        instant = machine.wall.time_of(now_ns)
        assert instant.synced is was_synced
        if was_synced:
            assert instant.wall_ns == NOON_NS + now_ns
        assert machine.wall.age_ns(now_ns - 7) == 7
        assert machine.wall.age_ns(50 * NS, "before") == (now_ns if was_synced else None)


def test_the_kernel_is_asked_about_the_clock() -> None:
    """Either answer may be true here; what counts is that there is one, every time."""
    assert {type(wall_clock_is_synchronised()) for _ in range(3)} == {bool}


def test_a_service_that_may_not_ask_the_kernel_believes_timesyncd(tmp_path: Path) -> None:
    """Until somebody else steps the clock, until the next synchronisation; and not for ever."""
    file, now = tmp_path / "synchronized", {"wall": NOON_NS, "mono": 100 * NS}
    timesyncd = Timesyncd(file, wall_ns=lambda: now["wall"], mono_ns=lambda: now["mono"])

    def pass_s(seconds: int) -> bool:
        now["wall"] += seconds * NS
        now["mono"] += seconds * NS
        return timesyncd()

    def touch() -> None:
        file.touch()
        os.utime(file, ns=(now["wall"], now["wall"]))

    assert not timesyncd()
    touch()
    assert timesyncd()
    assert pass_s(2048)
    now["wall"] += 3600 * NS
    assert not timesyncd()
    assert not pass_s(10)
    touch()
    assert pass_s(1)
    assert not pass_s(40_000)
    touch()
    assert pass_s(1)
    file.unlink()
    assert not timesyncd()


def test_what_was_set_before_the_clock_went_back_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "synchronized"
    file.touch()
    os.utime(file, ns=(NOON_NS, NOON_NS))
    assert not Timesyncd(file, wall_ns=lambda: NOON_NS - 60 * NS, mono_ns=lambda: NS)()


def test_the_devices_own_clocks_agree() -> None:
    """By default: this boot, and a time that is at least that of this line."""
    wall = WallClock(MonotonicClock())
    assert wall.boot == boot_id()
    assert wall.time_of(wall.now()[0]).wall_ns > 1_700_000_000 * NS
