"""The udev rules can be read, and give only to those whom the unit runs as."""

import grp
import os
import re
import subprocess
from pathlib import Path

from edgeapp.service.systemd.drop_ins import USER

PART = re.compile(r'([A-Z]+)(\{[\w/.]+\})?(==|!=|=|\+=|:=)"([^"]*)"')
MATCHES, SETS = {"SUBSYSTEM", "KERNEL", "ACTION"}, {"GROUP", "MODE", "RUN"}


def rules(repo: Path) -> list[str]:
    """All of them, also those that are off."""
    lines = (repo / "systemd/60-edgeapp.rules").read_text().splitlines()
    found = [line.removeprefix("# ") for line in lines if "SUBSYSTEM==" in line]
    assert len(found) == 4
    return found


def test_each_rule_is_one_that_udev_reads(repo: Path) -> None:
    """Matches with ==, sets with = or +=, and nothing between them."""
    for rule in rules(repo):
        parts = rule.split(", ")
        read = [PART.fullmatch(part) for part in parts]
        assert all(read), rule
        for match in filter(None, read):
            assert match[1] in (MATCHES if match[3] in {"==", "!="} else SETS), rule


def test_they_give_to_the_service_alone(repo: Path) -> None:
    given = re.findall(r'GROUP="(\w+)"|chgrp (\w+)', "\n".join(rules(repo)))
    assert {one or other for one, other in given} == {USER}
    assert not re.search(r'MODE="0..[^0]"', "\n".join(rules(repo)))


def test_energy_counters_are_off(repo: Path) -> None:
    """They tell of what other programs compute: whoever wants them decides so."""
    lines = (repo / "systemd/60-edgeapp.rules").read_text().splitlines()
    (energy,) = [line for line in lines if "energy_uj" in line]
    assert energy.startswith("# ")


def test_what_a_sensor_is_set_by_becomes_writable_for_the_group(repo: Path, tmp_path: Path) -> None:
    """Its files down to its channels and buffer; not those that only say something."""
    group = grp.getgrgid(os.getgid()).gr_name
    device = tmp_path / "devices/iio:device0"
    (device / "scan_elements/deep").mkdir(parents=True)
    for name in (
        "sampling_frequency",
        "scan_elements/in_accel_x_en",
        "name",
        "scan_elements/deep/x",
    ):
        (device / name).touch()
        (device / name).chmod(0o444 if name == "name" else 0o644)
    (rule,) = [rule for rule in rules(repo) if "trigger*" in rule]
    command = rule.partition('RUN+="')[2].removesuffix('"').replace("/sys%p", str(device))
    script = command.removeprefix("/bin/sh -c '").removesuffix("'")
    script = script.replace(f"chgrp {USER}", f"chgrp {group}")
    subprocess.run(["/bin/sh", "-c", script], check=True)
    modes = {
        str(path.relative_to(device)): path.stat().st_mode & 0o777
        for path in device.rglob("*")
        if path.is_file()
    }
    assert modes == {
        "sampling_frequency": 0o664,
        "scan_elements/in_accel_x_en": 0o664,
        "name": 0o444,
        "scan_elements/deep/x": 0o644,
    }
