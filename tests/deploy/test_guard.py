"""How the guard lets the service start, whatever happened before."""

import os
import random
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

REPO = Path(__file__).resolve().parents[2]
BOOT = "1a2b3c4d-0000-4000-8000-000000000000"


class Device:
    """A folder that looks like a device to the guard."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opt = root / "opt/edgeapp"
        self.own = root / "run/edgeapp-guard"
        self.healthy = root / "var/lib/edgeapp/healthy"
        for folder in (self.opt / "state", self.own.parent, self.healthy.parent):
            folder.mkdir(parents=True)
        self.boot_id = root / "proc/sys/kernel/random/boot_id"
        self.boot_id.parent.mkdir(parents=True)
        self.uptime = root / "proc/uptime"
        self.clock: str | None = None
        self.boot(BOOT)

    def boot(self, boot_id: str) -> None:
        """Start the device anew."""
        self.boot_id.write_text(f"{boot_id}\n")
        self.now_s = 10
        for file in self.own.glob("*"):
            file.unlink()

    def install(self, version: str, *, trial: str = "", previous: str = "") -> None:
        """Let a version be the current one."""
        for name in filter(None, (version, previous)):
            folder = self.opt / "versions" / name / "bin"
            folder.mkdir(parents=True, exist_ok=True)
            for program in ("edgeapp", "python"):
                (folder / program).write_text("#!/bin/sh\n")
                (folder / program).chmod(0o755)
        (self.opt / "current").unlink(missing_ok=True)
        (self.opt / "current").symlink_to(f"versions/{version}")
        if trial:
            (self.opt / "state/trial").write_text(f"{trial}\n")
        if previous:
            (self.opt / "state/previous").write_text(f"{previous}\n")

    @property
    def current(self) -> str:
        return (self.opt / "current").readlink().name

    @property
    def on_trial(self) -> bool:
        return (self.opt / "state/trial").exists()

    def call(self, *words: str, **environment: str) -> str:
        """Run the guard; it never fails, and never takes long."""
        now = f"{self.now_s}.25 12345.67\n"
        self.uptime.write_text(now if self.clock is None else self.clock)
        done = subprocess.run(
            ["sh", REPO / "deploy/guard", *words, self.root],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def start(self, *, after_s: int = 3) -> str:
        """Start the service; the mode that it is to be in."""
        self.now_s += after_s
        self.call()
        return self.told["EDGEAPP_START_MODE"]

    @property
    def told(self) -> dict[str, str]:
        """What the service finds in its environment."""
        lines = (self.own / "start.env").read_text().splitlines()
        pairs = [line.partition("=") for line in lines]
        return {key: value.strip('"') for key, _, value in pairs}

    def become_healthy(self) -> None:
        """What the application writes once all was well for a while."""
        self.healthy.write_text(self.told["EDGEAPP_START_ID"])

    def modes(self, count: int, *, after_s: int = 3) -> list[str]:
        """The modes of so many starts of which none becomes healthy."""
        return [self.start(after_s=after_s) for _ in range(count)]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device with version 1 on it."""
    device = Device(tmp_path)
    device.install("1")
    return device


NORMAL, LAST_GOOD, SAFE = ["normal"] * 3, ["last-good"] * 3, ["safe"]


def test_three_unhealthy_starts_take_back_the_configuration_and_three_more_everything(
    device: Device,
) -> None:
    assert device.modes(10) == [*NORMAL, *LAST_GOOD, *SAFE * 4]


def test_it_says_why(device: Device) -> None:
    device.modes(3)
    assert device.told["EDGEAPP_START_WHY"] == ""
    device.now_s += 3
    assert "3 starts did not become healthy: the last good configuration" in device.call()
    assert "the last good configuration" in device.told["EDGEAPP_START_WHY"]
    device.modes(3)
    assert "no pipeline runs" in device.told["EDGEAPP_START_WHY"]


@pytest.mark.parametrize("before", [1, 3, 5, 8])
def test_a_healthy_start_ends_it(device: Device, before: int) -> None:
    device.modes(before)
    device.become_healthy()
    assert device.modes(7) == [*NORMAL, *LAST_GOOD, *SAFE]


def test_only_the_start_before_can_have_become_healthy(device: Device) -> None:
    device.start()
    device.become_healthy()
    assert device.modes(4) == [*NORMAL, "last-good"]


def test_starts_far_apart_do_not_add_up(device: Device) -> None:
    assert device.modes(10, after_s=301) == ["normal"] * 10


def test_slow_failures_add_up_too(device: Device) -> None:
    """A start that hangs until systemd gives up takes two minutes."""
    assert device.modes(8, after_s=122) == [*NORMAL, *LAST_GOOD, *SAFE * 2]


def test_ten_quiet_minutes_end_it(device: Device) -> None:
    device.modes(5)
    assert device.modes(3, after_s=600) == NORMAL


def test_a_new_boot_ends_it(device: Device) -> None:
    device.modes(5)
    device.boot(BOOT.replace("1a2b", "beef"))
    assert device.modes(4) == [*NORMAL, "last-good"]


def test_no_two_starts_have_the_same_id(device: Device) -> None:
    """Not even at the same instant; else an old mark would make a failed start a healthy one."""
    ids = []
    for after_s in (3, 0, 0, 1, 0):
        device.start(after_s=after_s)
        ids.append(device.told["EDGEAPP_START_ID"])
    (device.own / "starts").unlink()
    device.start()
    ids.append(device.told["EDGEAPP_START_ID"])
    assert len(set(ids)) == len(ids)
    assert all(name.startswith("1a2b3c4d-") for name in ids)


def test_a_version_on_trial_is_taken_back_before_anything_else(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    assert device.modes(3) == NORMAL
    assert device.current == "2"
    assert device.modes(4) == [*NORMAL, "last-good"]
    assert device.current == "1"
    assert not device.on_trial


def test_the_start_after_going_back_says_so(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    device.modes(4)
    why = "version 2 did not become healthy in 3 starts: this is version 1 again"
    assert device.told["EDGEAPP_START_WHY"] == why


def test_a_version_on_trial_that_gives_up_is_taken_back_at_once(device: Device) -> None:
    """One that runs, but is never well, ends nothing: nobody might be there any more to take it back."""
    device.install("2", trial="2", previous="1")
    (device.opt / "state/trial").write_text("2\n600\n")
    device.start()
    assert device.told["EDGEAPP_START_TRIAL_S"] == "630"
    said = device.call("stopped", SERVICE_RESULT="exit-code", EXIT_STATUS="75")
    assert "version 2 did not become healthy in time: this is version 1 again" in said
    assert device.current == "1"
    assert not device.on_trial
    assert device.modes(4) == [*NORMAL, "last-good"]
    assert "EDGEAPP_START_TRIAL_S" not in device.told


def boots() -> Iterator[str]:
    """Ids of boots, each another one."""
    return (BOOT.replace("1a2b", f"{number:04x}") for number in count())


def test_a_version_on_trial_that_takes_the_machine_down_is_taken_back(device: Device) -> None:
    """Of the boot before nothing is left in /run."""
    device.install("2", trial="2", previous="1")
    for _, boot in zip(range(3), boots(), strict=False):
        device.boot(boot)
        assert device.start() == "normal"
        assert device.current == "2"
    device.boot(BOOT)
    assert device.modes(4) == [*NORMAL, "last-good"]
    assert device.current == "1"
    assert not device.on_trial


def test_starts_of_a_version_on_trial_add_up_however_far_apart(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    device.modes(4, after_s=10_000)
    assert device.current == "1"


def test_a_machine_that_is_switched_off_in_order_is_no_failure_of_a_version(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    device.start()
    for _, boot in zip(range(5), boots(), strict=False):
        device.boot(boot)
        assert device.start() == "normal"
        device.call("stopped", SERVICE_RESULT="success")
    assert device.current == "2"
    assert device.modes(3) == NORMAL
    assert device.current == "1", "the one before those counts"


def test_a_version_that_became_healthy_in_a_boot_before_is_no_longer_on_trial(
    device: Device,
) -> None:
    """However its boots end: it may be a device that people switch off at the wall."""
    device.install("2", trial="2", previous="1")
    device.modes(2)
    device.become_healthy()
    for _, boot in zip(range(5), boots(), strict=False):
        device.boot(boot)
        assert device.start() == "normal"
    assert device.current == "2"
    assert not device.on_trial


def test_only_the_version_on_trial_is_healthy_for_itself(device: Device) -> None:
    """Not for the health of the one before, in the same boot."""
    device.start()
    device.become_healthy()
    device.install("2", trial="2", previous="1")
    device.start()
    device.boot(BOOT.replace("1a2b", "beef"))
    device.start()
    assert device.on_trial


def test_a_new_trial_begins_at_nought(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    device.modes(2)
    device.boot(BOOT.replace("1a2b", "beef"))
    device.install("2", trial="2", previous="1")
    assert device.modes(3) == NORMAL
    assert device.current == "2"


def test_a_trial_that_cannot_go_back_can_still_end_well(device: Device) -> None:
    device.install("2", trial="2")
    device.modes(8)
    device.become_healthy()
    device.start()
    assert not device.on_trial


def test_without_a_trial_nothing_is_written_where_it_wears_flash(device: Device) -> None:
    device.install("1", previous="0")
    (device.opt / "state").chmod(0o755)
    before = {file: file.lstat().st_mtime_ns for file in device.opt.rglob("*")}
    device.modes(8)
    device.call("stopped", SERVICE_RESULT="success")
    assert {file: file.lstat().st_mtime_ns for file in device.opt.rglob("*")} == before


def test_a_trial_that_cannot_be_noted_on_the_disk_is_counted_within_a_boot(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    (device.opt / "state/.trial.new").mkdir()
    assert device.modes(4) == [*NORMAL, "normal"]
    assert device.current == "1"


@pytest.mark.parametrize("status", ["1", "0", "ABRT", ""])
def test_other_ends_of_a_version_on_trial_are_counted(device: Device, status: str) -> None:
    device.install("2", trial="2", previous="1")
    device.start()
    device.call("stopped", SERVICE_RESULT="exit-code", EXIT_STATUS=status)
    assert device.current == "2"


@pytest.mark.parametrize("rest", ["", "0\n", "soon\n", "-5\n", "86401\n", "9" * 30])
def test_without_a_time_a_trial_takes_as_long_as_the_installer_waits(
    device: Device, rest: str
) -> None:
    device.install("2", trial="2", previous="1")
    (device.opt / "state/trial").write_text(f"2\n{rest}")
    device.start()
    assert device.told["EDGEAPP_START_TRIAL_S"] == "150"


@pytest.mark.parametrize(("trial", "previous"), [("", "1"), ("1", "1"), ("2", ""), ("2", "../1")])
def test_who_is_not_on_trial_or_cannot_go_back_has_all_the_time(
    device: Device, trial: str, previous: str
) -> None:
    device.install("2")
    for name, version in (("trial", trial), ("previous", previous)):
        (device.opt / "state" / name).write_text(version)
    device.start()
    assert "EDGEAPP_START_TRIAL_S" not in device.told
    device.call("stopped", SERVICE_RESULT="exit-code", EXIT_STATUS="75")
    assert device.current == "2"


def test_a_version_that_became_healthy_is_no_longer_on_trial(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    device.start()
    device.become_healthy()
    assert device.modes(4) == [*NORMAL, "last-good"]
    assert device.current == "2"
    assert not device.on_trial


def test_a_trial_that_was_never_switched_to_takes_nothing_back(device: Device) -> None:
    """What a power cut between the mark and the switch leaves."""
    device.install("1", trial="2", previous="1")
    assert device.modes(4) == [*NORMAL, "last-good"]
    assert device.current == "1"


def test_a_new_version_does_not_pay_for_the_starts_of_the_old_one(device: Device) -> None:
    device.modes(2)
    device.install("2", trial="2", previous="1")
    assert device.modes(3) == NORMAL
    assert device.current == "2"


def test_without_a_usable_previous_version_the_configuration_is_next(device: Device) -> None:
    device.install("2", trial="2", previous="1")
    (device.opt / "versions/1/bin/python").unlink()
    assert device.modes(4) == [*NORMAL, "last-good"]
    assert device.current == "2"


def test_a_version_that_lies_in_ruins_is_replaced_at_once(device: Device) -> None:
    device.install("2", previous="1")
    (device.opt / "versions/2/bin/edgeapp").unlink()
    assert device.start() == "normal"
    assert device.current == "1"
    assert "version 2 cannot be started" in device.told["EDGEAPP_START_WHY"]


def test_a_stop_that_somebody_asked_for_is_no_failure(device: Device) -> None:
    for _ in range(5):
        assert device.start() == "normal"
        device.call("stopped", SERVICE_RESULT="success")


def test_a_stop_after_a_failure_is_one(device: Device) -> None:
    for mode in [*NORMAL, *LAST_GOOD]:
        assert device.start() == mode
        device.call("stopped", SERVICE_RESULT="watchdog")


def test_a_stop_keeps_the_failures_before_it(device: Device) -> None:
    device.modes(4)
    device.call("stopped", SERVICE_RESULT="success")
    assert device.modes(4) == [*LAST_GOOD, "safe"]


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "endless", "long"])
def test_what_the_application_leaves_in_its_folder_can_do_no_harm(
    device: Device, what: str
) -> None:
    """Not even when it tries: a link to where the id can be read counts for nothing."""
    device.start()
    if what == "link":
        device.healthy.symlink_to(device.own / "start.id")
        (device.own / "start.id").write_text(device.told["EDGEAPP_START_ID"])
    elif what == "pipe":
        os.mkfifo(device.healthy)
    elif what == "folder":
        device.healthy.mkdir()
    elif what == "endless":
        device.healthy.symlink_to("/dev/zero")
    else:
        device.healthy.write_bytes(b"x" * 3_000_000)
    assert device.modes(3) == ["normal", "normal", "last-good"]


@pytest.mark.parametrize("clock", ["", "garbage\n", "-5.0 1\n", "9" * 40 + ".0 1\n", "08.5 1\n"])
def test_a_clock_that_cannot_be_read_never_blocks_a_start(device: Device, clock: str) -> None:
    """Then all starts count as quick ones."""
    device.modes(2)
    device.clock = clock
    assert device.modes(7) == [*NORMAL, *LAST_GOOD, *SAFE]


def test_on_a_disk_that_takes_nothing_it_starts_all_the_same(device: Device) -> None:
    """A file where a folder should be takes nothing, not even from root."""
    (device.opt / "state").rmdir()
    for folder in (device.own, device.opt / "state"):
        folder.write_text("in the way")
    assert device.call() == ""
    assert not (device.own / "start.env").exists()


def test_where_it_cannot_go_back_the_configuration_is_next(device: Device) -> None:
    """As with /opt mounted read-only, which the link to the version then is, too."""
    device.install("2", trial="2", previous="1")
    (device.opt / ".current.guard").mkdir()
    (device.opt / ".current.guard/in the way").touch()
    assert device.modes(4) == [*NORMAL, "last-good"]
    assert device.current == "2"


def test_without_anything_installed_it_starts_all_the_same(tmp_path: Path) -> None:
    device = Device(tmp_path / "empty")
    assert device.start() == "normal"


garbage = st.one_of(
    st.binary(max_size=200),
    st.binary(min_size=4000, max_size=6000),
    st.sampled_from(
        [b"1a2b3c4d\n", b"1a2b3c4d 1 2 normal 1\n", b"../../etc", b"$(touch /x)", b"08 08"]
    ),
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from(["starts", "healthy", "trial", "previous", "boot"]), garbage)
)
def test_garbage_in_any_file_never_blocks_a_start(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    device = Device(tmp_path_factory.mktemp("device"))
    device.install("1")
    device.start()
    for name, content in files.items():
        target = {
            "starts": device.own / "starts",
            "healthy": device.healthy,
            "trial": device.opt / "state/trial",
            "previous": device.opt / "state/previous",
            "boot": device.boot_id,
        }[name]
        target.write_bytes(content)
    assert device.start() in {"normal", "last-good", "safe"}
    assert device.current == "1"
    assert set(device.told) == {"EDGEAPP_START_ID", "EDGEAPP_START_MODE", "EDGEAPP_START_WHY"}


class Expected:
    """What is promised, in the simplest words: the model that the guard is compared with."""

    def __init__(self) -> None:
        self.level = 0
        self.at_level: list[int] = []

    def start(self, now_s: int, *, healthy_before: bool) -> str:
        self.at_level = [then for then in self.at_level if now_s - then < 600]
        if healthy_before or not self.at_level:
            self.level, self.at_level = 0, []
        elif len(self.at_level) >= 3 and self.level < 2:
            self.level, self.at_level = self.level + 1, []
        self.at_level = [*self.at_level, now_s][-3:] if self.level < 2 else [now_s]
        return ("normal", "last-good", "safe")[self.level]


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["unhealthy"] * 6 + ["healthy", "boot"]),
            st.sampled_from([2, 2, 2, 3, 30, 199, 200, 299, 601]),
        ),
        max_size=14,
    )
)
def test_any_history_gives_the_promised_mode(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int]]
) -> None:
    device, expected = Device(tmp_path_factory.mktemp("device")), Expected()
    device.install("1")
    ended = "boot"
    for how, after_s in history:
        if ended == "boot":
            device.boot(f"{random.Random(after_s).getrandbits(32):08x}-0000")
            expected = Expected()
        mode = device.start(after_s=after_s)
        assert mode == expected.start(device.now_s, healthy_before=ended == "healthy")
        if how == "healthy":
            device.become_healthy()
        ended = how
