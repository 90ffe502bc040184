"""The unit with its drop-ins, as systemd reads it: nothing is wrong with it, and it stays closed."""

import re
import subprocess
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeapp.config.device import DeviceConfig, MqttConfig, TlsConfig
from edgeapp.config.places import SYSTEM
from edgeapp.core.needs import Needs
from edgeapp.core.secret import Secret
from edgeapp.service.doctor.machine import Machine, Ran
from edgeapp.service.systemd.drop_ins import LOCAL, NAMES, NEWER_SYSTEMD, RUNS, drop_ins
from tests.systemd.test_unit import MOST_EXPOSURE
from tests.systemd.units import NAME, exposure, laid_out, verify
from tests.systemd.units import settings as settings_of

GROUPS = ("edgeapp", "video", "audio", "gpio", "iio", "dialout")
NODES = (
    *("/dev/video0", "/dev/snd/*", "/dev/gpiochip0", "/dev/iio:device*", "/dev/hailo0"),
    *("/dev/ttyUSB0", "/dev/ttyACM1", "/dev/ttyAMA0", "/dev/serial/by-id/usb-if00"),
)
FOLDERS = ("mnt/usb stick", 'mnt/"quoted"', "mnt/100 %", "mnt/back\\slash", "srv/pictures")


def machine(root: Path, groups: tuple[str, ...] = GROUPS, systemd: int = 252) -> Machine:
    """A machine with these groups and all folders."""
    for folder in ("etc", *FOLDERS):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows = [f"{name}:x:{100 + number}:\n" for number, name in enumerate(groups)]
    (root / "etc/group").write_text("".join(rows))
    (root / "etc/passwd").write_text("edgeapp:x:999:100::/:/usr/sbin/nologin\n")
    return Machine(root, run=lambda *_: Ran(0, f"systemd {systemd} (x)\n"), uid=0)


def config(
    host: str = "broker.example.com",
    commands: tuple[str, ...] = (),
    data_dir: Path = SYSTEM.data,
) -> DeviceConfig:
    """A device with a broker, TLS and a login."""
    login = Secret("cred:mqtt_user"), Secret("cred:mqtt.password-2")
    tls = TlsConfig(Path("/etc/edgeapp/ca.pem"), None, None)
    mqtt = MqttConfig(host, 8883, *login, tls, 30, "edgeapp")
    return DeviceConfig("device", data_dir, None, mqtt, allow_commands=commands)


EVERYTHING = Needs(
    nodes=frozenset(NODES),
    hosts=frozenset({"broker.example.com", "203.0.113.9"}),
    credentials=frozenset({"mqtt_user", "mqtt.password-2"}),
    writes=frozenset(Path("/", folder) for folder in FOLDERS),
)


def everything(root: Path) -> dict[str, str]:
    """All that is generated for systemd 252, and what is shipped."""
    found = drop_ins(EVERYTHING, config(), machine(root)).files
    assert set(found) == set(NAMES) - {"60-newer-systemd.conf"}
    return found


@pytest.fixture
def analyze(system_program: Callable[[str, str], str]) -> str:
    return system_program("systemd-analyze", "systemd")


@pytest.fixture
def shipped(repo: Path) -> dict[str, str]:
    """Drop-ins that people copy."""
    found = {path.name: path.read_text() for path in (repo / "systemd/drop-ins").iterdir()}
    assert found
    return found


def test_each_alone_and_all_together_are_right_and_closed(
    analyze: str, shipped: dict[str, str], repo: Path, tmp_path: Path
) -> None:
    files = {**everything(tmp_path / "machine"), **shipped}
    for chosen in (*({name: text} for name, text in files.items()), files):
        unit = laid_out(tmp_path / "unit", repo / "systemd" / NAME, chosen)
        assert verify(analyze, unit) == []
        assert exposure(analyze, unit) <= MOST_EXPOSURE, list(chosen)


def test_an_older_systemd_passes_over_what_is_for_newer_ones(
    analyze: str, repo: Path, tmp_path: Path
) -> None:
    """It would only lose its reload: so that file is made for newer ones alone."""
    files = drop_ins(Needs(), config(), machine(tmp_path / "machine", systemd=254)).files
    unit = laid_out(tmp_path / "unit", repo / "systemd" / NAME, files)
    unknown = [line for line in verify(analyze, unit) if "60-newer-systemd.conf" in line]
    version = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.split()[1]) >= NEWER_SYSTEMD:
        assert unknown == []
    else:
        assert all(word in str(unknown) for word in ("notify-reload", "RestartSteps"))
    assert exposure(analyze, unit) <= MOST_EXPOSURE


needs = st.builds(
    Needs,
    nodes=st.frozensets(st.sampled_from(NODES) | st.text(max_size=12).map("/dev/{}".format)),
    hosts=st.frozensets(st.sampled_from(("*", "10.0.0.1", "203.0.113.9", "::1", "broker", "a\nb"))),
    credentials=st.frozensets(st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True), max_size=3),
    writes=st.frozensets(
        (st.sampled_from(FOLDERS) | st.text(max_size=8)).map(lambda text: Path("/", text)),
        max_size=3,
    ),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(needs=needs, groups=st.permutations(GROUPS).flatmap(lambda p: st.sampled_from([p, p[:3]])))
def test_whatever_is_needed_the_unit_is_right(
    needs: Needs, groups: list[str], analyze: str, repo: Path, tmp_path: Path
) -> None:
    on = machine(tmp_path / "machine", tuple(groups))
    found = drop_ins(needs, config("10.0.0.1"), on)
    assert drop_ins(needs, config("10.0.0.1"), on) == found
    unit = laid_out(tmp_path / "unit", repo / "systemd" / NAME, found.files)
    assert verify(analyze, unit) == []
    assert exposure(analyze, unit) <= MOST_EXPOSURE
    named = re.findall(
        r"^(?:SupplementaryGroups|Group)=(.*)$", "".join(found.files.values()), re.MULTILINE
    )
    assert set(" ".join(named).split()) <= set(groups)


def test_what_the_unit_allows_by_itself_is_what_needs_no_drop_in(repo: Path) -> None:
    unit = settings_of((repo / "systemd" / NAME).read_text())
    nets = {"localhost": "127.0.0.0/8 ::1/128", "link-local": "169.254.0.0/16 fe80::/64"}
    nets["multicast"] = "224.0.0.0/4 ff00::/8"
    allowed = " ".join(nets.get(word, word) for word in unit.one("IPAddressAllow").split()).split()
    assert {ip_network(net) for net in allowed} == set(LOCAL)
    places = {word.removeprefix("-") for word in unit.one("ExecPaths").split()}
    assert {str(place) for place in RUNS} <= places
