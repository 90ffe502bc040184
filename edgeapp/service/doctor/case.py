"""What is known of a device when the doctor begins: its machine, its configuration, what runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeapp.config.device import DeviceConfig
from edgeapp.core.needs import Needs
from edgeapp.errors import Complaint
from edgeapp.plan.graph import Plan
from edgeapp.service.doctor.machine import PROGRAM_S, Machine, User
from edgeapp.uplink.connection import Endpoint

UNIT = "edgeapp.service"
_ASKED = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NRestarts",
    "Result",
    "MainPID",
    "User",
    "SupplementaryGroups",
    "NeedDaemonReload",
    "ControlGroup",
    "ActiveEnterTimestampMonotonic",
)


@dataclass(frozen=True)
class Case:
    """One device. What is not known is None or empty, and each check says what that means for it."""

    machine: Machine
    data_dir: Path
    """As the configuration says, or as it would be without any."""
    program: str = "edgeapp"
    """How a person calls us."""
    config_given: str = ""
    """The arguments that name the configuration again."""
    device_given: str = ""
    """Of them, `--device FILE`."""
    files: tuple[Path, ...] = ()
    """The pipeline files."""
    device: DeviceConfig | None = None
    plans: tuple[Plan, ...] = ()
    needs: Needs | None = None
    """What pipelines and device configuration need of the machine; None: they are wrong."""
    endpoint: Endpoint | None = None
    """The broker; None: none is named."""
    complaints: tuple[Complaint, ...] = ()
    """What is wrong in the configuration."""
    live: Mapping[str, Any] | None = None
    """The status of what runs; None: nothing runs, or it may not be asked."""
    live_problem: str = ""
    """Why it is None."""
    unit: Mapping[str, str] = field(default_factory=dict)
    """What systemd says of the service; empty: it is not installed, or there is no systemd."""

    @property
    def installed(self) -> bool:
        """Whether the service is installed on this machine."""
        return self.unit.get("LoadState") == "loaded"

    @property
    def active(self) -> bool:
        """Whether systemd runs it now."""
        return self.unit.get("ActiveState") in {"active", "reloading"}

    @property
    def root(self) -> bool:
        """Whether we may look everywhere."""
        return self.machine.uid == 0

    def user(self) -> User:
        """Whoever runs, or will run, the pipelines."""
        if self.installed and (user := self.machine.user(self.unit.get("User") or "root")):
            return user
        known = self.machine.user(self.machine.uid)
        return known or User(str(self.machine.uid), self.machine.uid, self.machine.uid)

    def groups(self) -> set[int]:
        """The numbers of the groups that they run with."""
        pid = self.unit.get("MainPID", "0")
        if pid != "0":  # the truth, if it can be seen: what the process has in fact
            for line in self.machine.text_or(f"/proc/{pid}/status").splitlines():
                if line.startswith("Groups:"):
                    gids = {int(gid) for gid in line.split()[1:] if gid.isdecimal()}
                    return gids | {self.user().gid}
        user = self.user()
        more = self.unit.get("SupplementaryGroups", "").split() if self.installed else []
        named = (self.machine.group(name) for name in more)
        return {user.gid, *self.machine.groups_of(user), *(one[1] for one in named if one)}

    def sudo(self, command: str) -> str:
        """A command that only root may give."""
        return command if self.root else f"sudo {command}"

    def as_user(self, command: str) -> str:
        """A command that whoever runs the pipelines has to give."""
        user = self.user()
        return command if user.uid == self.machine.uid else f"sudo -u {user.name} {command}"

    def restart(self) -> str:
        """What makes it take what was changed."""
        return self.sudo(f"systemctl restart {UNIT}") if self.installed else "start it again"


def unit_facts(machine: Machine, unit: str = UNIT) -> dict[str, str]:
    """What systemd says of a unit; empty where there is no systemd, or it does not run."""
    ran = machine.run(("systemctl", "show", unit, f"--property={','.join(_ASKED)}"), PROGRAM_S)
    if ran.code != 0:
        return {}
    return dict(line.split("=", 1) for line in ran.out.splitlines() if "=" in line)
