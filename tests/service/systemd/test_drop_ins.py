"""Drop-ins of the unit: what pipelines use on this machine is opened, and nothing that is missing is named."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.config.places import SYSTEM
from edgeapp.core.plugin import Options
from edgeapp.errors import ConfigError
from edgeapp.plan.load import load
from edgeapp.service.doctor.machine import Machine, Ran
from edgeapp.service.systemd.drop_in_folder import Difference, bring_about, differences
from edgeapp.service.systemd.drop_ins import MARK, NAMES, DropIns, drop_ins, needed

CAMERA = "  seen: {source: camera, device: /dev/video0}\n  pictures: {action: save_image, from: seen, folder: %s}\n"
MICROPHONE = (
    "  ear: {source: audio, device: default}\n  numbers: {transform: features}\n"
    "  file: {output: jsonl, file: numbers.jsonl}\n"
)


def vibration(device: str) -> str:
    return MICROPHONE.replace("audio, device: default", f"vibration, device: '{device}'")


def machine(
    root: Path,
    *,
    groups: Sequence[str] = ("edgeapp", "video", "audio", "gpio", "iio", "dialout"),
    user: bool = True,
    systemd: int = 252,
) -> Machine:
    """A machine of a few files."""
    (root / "etc").mkdir(parents=True, exist_ok=True)
    rows = [f"{name}:x:{100 + number}:\n" for number, name in enumerate(groups)]
    (root / "etc/group").write_text("root:x:0:\n" + "".join(rows))
    account = "edgeapp:x:999:100::/nonexistent:/usr/sbin/nologin\n" if user else ""
    (root / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\n{account}")
    return Machine(root, run=lambda *_: Ran(0, f"systemd {systemd} ({systemd}.1-1)\n+PAM\n"), uid=0)


def of_file(tmp_path: Path, device: str = "") -> DeviceConfig:
    (tmp_path / "device.yaml").write_text(device or "{outbox: {}}")
    return read_device(tmp_path / "device.yaml", environment={"STATE_DIRECTORY": str(SYSTEM.data)})


def made(tmp_path: Path, *stages: str, device: str = "", on: Machine | None = None) -> DropIns:
    """What is made of pipelines with these stages."""
    config = of_file(tmp_path, device)
    files = []
    for number, text in enumerate(stages):
        files.append(tmp_path / f"pipeline{number}.yaml")
        files[-1].write_text(f"name: p{number}\nstages:\n{text}")
    plans = load(files, device=config, open_models=False) if files else ()
    return drop_ins(needed(plans, config), config, on or machine(tmp_path / "machine"))


def lines(of: DropIns, name: str) -> list[str]:
    """What one of the files says, without comments."""
    return [line for line in of.files[name].splitlines() if not line.startswith("#")]


def test_without_pipelines_only_the_user_is_named(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert list(found.files) == ["10-user.conf"]
    assert lines(found, "10-user.conf") == [
        *("[Service]", "DynamicUser=no", "User=edgeapp", "Group=edgeapp")
    ]
    assert found.doubts == ()


@pytest.mark.parametrize("groups", [("edgeapp",), ("video",)])
def test_a_user_that_is_not_there_is_not_named(groups: tuple[str, ...], tmp_path: Path) -> None:
    """Nor one whose group is not there: either ends a start, with 217 or 216."""
    on = machine(tmp_path / "machine", groups=groups, user=groups != ("edgeapp",))
    found = made(tmp_path, on=on)
    assert found.files == {}
    assert len(found.doubts) == 1
    assert "useradd" in found.doubts[0]


@pytest.mark.parametrize(
    ("stages", "group", "allowed"),
    [
        (CAMERA % "pictures", "video", ["char-media rw", "char-video4linux rw"]),
        (
            CAMERA.replace("/dev/video0", "2") % "p",
            "video",
            ["char-media rw", "char-video4linux rw"],
        ),
        (MICROPHONE, "audio", ["char-alsa rw"]),
        (vibration("iio:adxl355"), "iio", ["char-iio r"]),
        (vibration("serial:/dev/ttyACM0"), "dialout", ["char-ttyACM rw"]),
        (vibration("serial:/dev/ttyTHS1"), "dialout", ["char-ttyTHS rw"]),
        (
            vibration("serial:/dev/serial/by-id/usb-x-if00"),
            "dialout",
            ["char-ttyACM rw", "char-ttyUSB rw"],
        ),
        (
            CAMERA.replace("save_image", "gpio, line: 4").replace(", folder: %s", ""),
            "gpio video",
            ["char-gpiochip rw", "char-media rw", "char-video4linux rw"],
        ),
    ],
)
def test_exactly_the_devices_that_are_used_are_open(
    stages: str, group: str, allowed: list[str], tmp_path: Path
) -> None:
    """And their modules are loaded first: a class that is not there yet would stay forbidden."""
    if "gpio" in stages:
        pytest.importorskip("gpiod")
    said = lines(made(tmp_path, stages), "20-devices.conf")
    assert [line[12:] for line in said if line.startswith("DeviceAllow=")] == allowed
    assert f"SupplementaryGroups={group}" in said
    assert "PrivateDevices=no" in said
    assert ("ReadWritePaths=-/sys/devices" in said) is ("iio" in stages)
    if "video" in group:
        assert {"Wants=modprobe@videodev.service", "After=modprobe@videodev.service"} <= set(said)


def test_a_group_that_is_not_there_is_a_doubt_and_not_named(tmp_path: Path) -> None:
    on = machine(tmp_path / "machine", groups=("edgeapp", "audio"))
    found = made(tmp_path, CAMERA % "p", MICROPHONE, on=on)
    assert "SupplementaryGroups=audio" in lines(found, "20-devices.conf")
    (doubt,) = found.doubts
    assert "no group 'video'" in doubt
    assert "groupadd" in doubt


def test_a_link_of_udev_is_what_it_leads_to(tmp_path: Path) -> None:
    on = machine(tmp_path / "machine")
    (tmp_path / "machine/dev").mkdir()
    (tmp_path / "machine/dev/porch").symlink_to("video3")
    stages = CAMERA.replace("/dev/video0", "/dev/porch") % "p"
    assert "DeviceAllow=char-video4linux rw" in lines(
        made(tmp_path, stages, on=on), "20-devices.conf"
    )


PLUGIN = '''
from edgeapp.api import Context, Features, Options, Packet, action


class LampOptions(Options):
    """Options."""

    where: str
    port: str = "/dev/null"


@action("lamp")
class Lamp:
    """Light a lamp."""

    def __init__(self, options: LampOptions, context: Context) -> None: ...

    def act(self, packet: Packet[Features], /) -> None: ...
'''


def test_what_a_plugin_names_in_its_options_is_opened(tmp_path: Path) -> None:
    """Paths in /dev and addresses, without a word of its author."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/lamp.py").write_text(PLUGIN)
    lamp = "  one: {action: lamp, from: numbers, where: '%s'}\n"
    found = made(tmp_path, MICROPHONE + lamp % "/dev/hailo0", MICROPHONE + lamp % "tcp://8.8.8.8:1")
    said = lines(found, "20-devices.conf")
    assert "DeviceAllow=/dev/hailo0 rw" in said
    assert not any("/dev/null" in line for line in said)
    assert lines(found, "40-network.conf") == ["[Service]", "IPAddressAllow=8.8.8.8"]


@pytest.mark.parametrize("node", ["/dev/../etc/shadow", "/dev/a b", "/dev/x\nUser=root", "/dev/%h"])
def test_what_is_no_device_is_not_allowed(node: str, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/lamp.py").write_text(PLUGIN)
    lamp = f"  one: {{action: lamp, from: numbers, where: {node!r}}}\n".replace("'", '"')
    found = made(tmp_path, MICROPHONE + lamp)
    assert lines(found, "20-devices.conf") == lines(made(tmp_path, MICROPHONE), "20-devices.conf")
    assert any("cannot be allowed" in doubt for doubt in found.doubts)


SECRET = "mqtt: {host: 10.0.0.2, username: 'cred:user', password: 'cred:pass'}"


def test_a_credential_that_is_missing_ends_no_start(tmp_path: Path) -> None:
    """There is an empty one in its place, and the file counts once it is there."""
    on = machine(tmp_path / "machine")
    (tmp_path / "machine/etc/edgeapp/secrets").mkdir(parents=True)
    (tmp_path / "machine/etc/edgeapp/secrets/user").write_text("hunter2")
    found = made(tmp_path, device=SECRET, on=on)
    assert lines(found, "30-credentials.conf") == [
        "[Service]",
        *("LoadCredential=pass:/etc/edgeapp/secrets/pass", "SetCredential=pass:\\n"),
        *("LoadCredential=user:/etc/edgeapp/secrets/user", "SetCredential=user:\\n"),
    ]
    (doubt,) = found.doubts
    assert "'/etc/edgeapp/secrets/pass'" in doubt
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("192.168.4.5", None),
        ("localhost", None),
        ("broker.local", None),
        ("'fd00::1'", None),
        ("203.0.113.9", "203.0.113.9"),
        ("'2001:db8::7'", "2001:db8::7"),
        ("broker.example.com", "any"),
        ("broker", "any"),
    ],
)
def test_hosts_beyond_private_networks_are_allowed(
    host: str, allowed: str | None, tmp_path: Path
) -> None:
    """A name may stand for any address, today or tomorrow."""
    found = made(tmp_path, device=f"mqtt: {{host: {host}}}")
    if allowed is None:
        assert "40-network.conf" not in found.files
    else:
        assert lines(found, "40-network.conf") == ["[Service]", f"IPAddressAllow={allowed}"]


def test_folders_and_programs_elsewhere_are_opened_where_they_are(tmp_path: Path) -> None:
    on = machine(tmp_path / "machine")
    for folder in ("mnt/usb stick", "opt/tools", "usr/bin"):
        (tmp_path / "machine" / folder).mkdir(parents=True)
    for program in ("opt/tools/siren", "usr/bin/espeak-ng"):
        (tmp_path / "machine" / program).touch()
    device = "{allow_commands: [/opt/tools/siren, espeak-ng, nothing], data_dir: /srv/data}"
    found = made(tmp_path, CAMERA % "/mnt/usb stick", CAMERA % "/mnt/gone", device=device, on=on)
    assert lines(found, "50-files.conf") == [
        *("[Service]", 'ReadWritePaths=-"/mnt/usb stick"', "ExecPaths=-/opt/tools/siren")
    ]
    said = "\n".join(found.doubts)
    assert "'/mnt/gone'" in said
    assert "'/srv/data'" in said
    assert "'nothing'" in said


def test_what_the_unit_hides_is_said(tmp_path: Path) -> None:
    """Files at home can be checked, and then the service does not find them."""
    found = made(tmp_path, CAMERA % "/home/ann/pictures")
    assert "50-files.conf" not in found.files
    assert any("/home/ann/pictures" in doubt for doubt in found.doubts)


def test_a_clock_that_the_service_cannot_ask_about_is_said(tmp_path: Path) -> None:
    on = machine(tmp_path / "machine")
    (tmp_path / "machine/usr/sbin").mkdir(parents=True)
    (tmp_path / "machine/usr/sbin/chronyd").touch()
    (doubt,) = made(tmp_path, on=on).doubts
    assert "chronyd" in doubt


@pytest.mark.parametrize(("version", "newer"), [(252, False), (254, True), (257, True)])
def test_a_newer_systemd_gets_what_it_knows(version: int, newer: bool, tmp_path: Path) -> None:
    found = made(tmp_path, on=machine(tmp_path / "machine", systemd=version))
    assert ("60-newer-systemd.conf" in found.files) is newer


def test_the_same_is_made_of_the_same(tmp_path: Path) -> None:
    stages = (CAMERA % "p", MICROPHONE, vibration("iio:x"), vibration("serial:/dev/ttyUSB0"))
    first = made(tmp_path, *stages, device=SECRET)
    assert made(tmp_path, *stages, device=SECRET) == first
    assert all(text.startswith(MARK) for text in first.files.values())
    assert set(first.files) <= set(NAMES)


# The folder


def test_the_folder_becomes_what_is_wanted_and_stays_so(tmp_path: Path) -> None:
    folder = tmp_path / "edgeapp.service.d"
    wanted = {"10-user.conf": f"{MARK}a", "20-devices.conf": f"{MARK}b"}
    assert bring_about(folder, wanted) == [
        *(Difference("missing", "10-user.conf"), Difference("missing", "20-devices.conf"))
    ]
    assert bring_about(folder, wanted) == []
    (folder / "override.conf").write_text("[Service]\nNice=1\n")
    wanted = {"10-user.conf": f"{MARK}c"}
    assert differences(folder, wanted) == [
        *(Difference("changed", "10-user.conf"), Difference("stale", "20-devices.conf"))
    ]
    bring_about(folder, wanted)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        **wanted,
        "override.conf": "[Service]\nNice=1\n",
    }
    assert {path.stat().st_mode & 0o777 for path in folder.glob("10-*")} == {0o644}


def test_a_file_of_somebody_else_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "20-devices.conf").write_text("[Service]\nDeviceAllow=/dev/mine\n")
    with pytest.raises(ConfigError, match="was not made by"):
        bring_about(tmp_path, {"10-user.conf": MARK})
    assert [path.name for path in tmp_path.iterdir()] == ["20-devices.conf"]


def test_options_say_what_they_need_and_no_more() -> None:
    class Plain(Options):
        """Options."""

        text: str = "cred: no"
        address: str = "://"
        odd: str = "http://[::1"
        file: str = "/devices/x"

    needs = Plain().needs()
    assert not any((needs.nodes, needs.hosts, needs.credentials, needs.reads, needs.writes))
