"""The drop-ins of the unit: what this machine and this configuration need beyond `edgeapp.service`.

The unit starts on a bare Debian and is closed to nearly everything. What a machine may lack would end
its start: a user (217), a group (216), a credential (243). So each of these is named only where it is,
and what is missing is a doubt: a sentence for a person, and no start that fails.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

from edgeapp.config.device import DeviceConfig
from edgeapp.config.places import SYSTEM
from edgeapp.core.needs import ANYWHERE, Needs, all_needs
from edgeapp.plan.graph import Plan
from edgeapp.service.doctor.machine import PROGRAM_S, Machine
from edgeapp.service.systemd.device_classes import DeviceClass, classes_of

FOLDER = Path("/etc/systemd/system/edgeapp.service.d")
USER = "edgeapp"
SECRETS = SYSTEM.config / "secrets"
MARK = "# Made by `edgeapp service dropins` from the configuration; made anew, this file is overwritten.\n"
NEWER_SYSTEMD = 254
NAMES = (
    *("10-user.conf", "20-devices.conf", "30-credentials.conf", "40-network.conf"),
    *("50-files.conf", "60-newer-systemd.conf"),
)
"""All that there may be."""

LOCAL = tuple(
    ip_network(net)
    for net in (
        *("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/64", "224.0.0.0/4", "ff00::/8"),
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)
"""What the unit allows by itself; a test compares."""
RUNS = tuple(
    map(Path, ("/opt/edgeapp", "/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/lib"))
)
"""Where the unit lets programs be."""
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108  whose files the unit hides
_CLOCK_KEEPERS = ("/usr/sbin/chronyd", "/usr/sbin/ntpd", "/usr/sbin/ptp4l")
_VERSION = re.compile(r"systemd (\d+)")
_NEWER = """\
[Service]
# `systemctl reload` waits until the new configuration is in use, or refused.
Type=notify-reload
ExecReload=
# What fails again and again is started less and less often. Not less than that: systemd never forgets
# earlier restarts, so that a device that runs for years has them all behind it.
RestartSteps=4
RestartMaxDelaySec=15
"""


@dataclass(frozen=True, slots=True)
class DropIns:
    """Files for the folder of the unit, by their names; and what a person should know of them."""

    files: dict[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def drop_ins(needs: Needs, config: DeviceConfig, machine: Machine) -> DropIns:
    """What the unit needs on this machine for what is `needed`. The same each time; writes nothing.

    To be asked as root: others may not look into the folder of the secrets.
    """
    made = _Making(machine)
    made.user()
    made.devices(needs.nodes)
    made.credentials(needs.credentials)
    made.network(needs.hosts)
    made.files_of(needs, config)
    made.newer()
    made.clock()
    texts = {name: MARK + made.texts[name] for name in NAMES if name in made.texts}
    return DropIns(texts, tuple(dict.fromkeys(made.doubts)))


def needed(plans: Sequence[Plan], config: DeviceConfig) -> Needs:
    """What pipelines and the device's own configuration need of the machine."""
    needs = Needs()
    for plan in plans:
        for stage in plan.stages.values():
            needs |= stage.options.needs()
            for variant in stage.variants:
                needs |= variant.options.needs() | Needs(reads=frozenset({variant.file}))
    mqtt = config.mqtt
    if mqtt is not None:
        needs |= all_needs((mqtt.username, mqtt.password)) | Needs(hosts=frozenset({mqtt.host}))
        if mqtt.tls is not None:
            files = (mqtt.tls.ca, mqtt.tls.cert, mqtt.tls.key)
            needs |= Needs(reads=frozenset(file for file in files if file is not None))
    if config.plugins is not None:
        needs |= Needs(reads=frozenset({config.plugins}))
    return needs


class _Making:
    """Collects the texts of the files, and doubts."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.texts: dict[str, str] = {}
        self.doubts: list[str] = []

    def user(self) -> None:
        """A user of its own, where there is one: its files stay in place, and groups may be given."""
        if self._machine.user(USER) and self._machine.group(USER):
            self.texts["10-user.conf"] = f"[Service]\nDynamicUser=no\nUser={USER}\nGroup={USER}\n"
        else:
            self.doubts.append(
                f"there is no user '{USER}': the service runs as one that systemd makes up, which may "
                "not have /var/lib/edgeapp on a disk of its own: "
                f"sudo useradd --system --user-group --no-create-home {USER}"
            )

    def devices(self, nodes: Iterable[str]) -> None:
        """The classes of devices that are used, and their groups as far as there are."""
        classes: dict[str, DeviceClass] = {}
        for node in sorted(nodes):
            found = classes_of(self._without_link(node), self._group_of)
            if found is None:
                self.doubts.append(f"'{node}' cannot be allowed: it is no name of a device")
            else:
                classes |= {one.allow[0]: one for one in found}
        if not classes:
            return
        lines = []
        modules = sorted(
            {f"modprobe@{one.module}.service" for one in classes.values() if one.module}
        )
        if modules:
            # Without the module there is no class to allow, and it would stay forbidden.
            lines += ["[Unit]", f"Wants={' '.join(modules)}", f"After={' '.join(modules)}"]
        lines += ["[Service]", "PrivateDevices=no"]
        lines += sorted(f"DeviceAllow={allow}" for one in classes.values() for allow in one.allow)
        groups = {one.group: one for one in classes.values() if one.group}
        there = [group for group in sorted(groups) if self._machine.group(group)]
        self.doubts += [
            f"there is no group '{group}' to open {groups[group].name} with, so that only root can: "
            f"sudo groupadd --system {group} && sudo udevadm trigger"
            for group in sorted(groups)
            if group not in there and not groups[group].own_rule
        ]
        if there:
            lines.append(f"SupplementaryGroups={' '.join(there)}")
        if any(one.sysfs for one in classes.values()):
            # Their rates and buffers are set there; of its files, the group may write those alone.
            lines.append("ReadWritePaths=-/sys/devices")
        self.texts["20-devices.conf"] = "\n".join(lines) + "\n"

    def credentials(self, names: Iterable[str]) -> None:
        """Secrets, each with an empty one in its place, lest a missing file ends the start."""
        lines = []
        for name in sorted(names):
            if name in {".", ".."}:
                self.doubts.append(f"'cred:{name}' cannot be the name of a file")
                continue
            file = SECRETS / name
            lines += [f"LoadCredential={name}:{file}", f"SetCredential={name}:\\n"]
            if (there := self._machine.is_there(file)) is None:
                self.doubts.append(f"whether there is '{file}' only root can see: use sudo")
            elif not there:
                self.doubts.append(
                    f"there is no '{file}', which 'cred:{name}' stands for: sudo install -m 600 "
                    f"/dev/stdin {file}, type the secret, Enter and Ctrl-D, restart the service"
                )
        if lines:
            self.texts["30-credentials.conf"] = "\n".join(["[Service]", *lines]) + "\n"

    def network(self, hosts: Iterable[str]) -> None:
        """What is named and lies beyond private networks; of a name nobody knows where it will be."""
        names, addresses = [], []
        for host in sorted(hosts):
            try:
                address = ip_address(host)
            except ValueError:
                if host != "localhost" and not host.endswith(".local"):
                    known = host != ANYWHERE and host.isprintable()
                    names.append(host if known else "an address that is not known here")
                continue
            if not any(address in net for net in LOCAL):
                addresses.append(str(address))
        if names:
            said = f"# Named: {', '.join(names)}. Names may stand for any address, and so may their servers.\n"
            self.texts["40-network.conf"] = f"[Service]\n{said}IPAddressAllow=any\n"
        elif addresses:
            self.texts["40-network.conf"] = f"[Service]\nIPAddressAllow={' '.join(addresses)}\n"

    def files_of(self, needs: Needs, config: DeviceConfig) -> None:
        """Folders to write outside of the state folder, and programs in other places."""
        socket = config.metrics.socket if config.metrics is not None else None
        writes = {*needs.writes, *((socket,) if socket else ())}
        folders = {self._folder_of(path) for path in writes}
        lines = [
            *self._writable({*folders, config.data_dir}),
            *self._executable(config.allow_commands),
        ]
        if lines:
            self.texts["50-files.conf"] = "\n".join(["[Service]", *lines]) + "\n"
        self.doubts += [
            f"the service cannot read '{path}': move it to /etc/edgeapp or /var/lib/edgeapp"
            for path in sorted(needs.reads)
            if _is_hidden(path)
        ]

    def _writable(self, folders: Iterable[Path]) -> Iterator[str]:
        for folder in sorted(folders):
            if any(folder.is_relative_to(own) for own in (SYSTEM.data, SYSTEM.run) if own):
                continue
            if _is_hidden(folder) or not str(folder).isprintable():
                self.doubts.append(f"the service cannot write '{folder}': choose another folder")
            elif not self._is_folder(folder):
                there = shlex.quote(str(folder))
                self.doubts.append(
                    f"there is no folder '{folder}' to write to: sudo install -d -o {USER} {there}, "
                    "then make the drop-ins again"
                )
            else:
                yield f"ReadWritePaths=-{_quoted(folder)}"

    def _executable(self, programs: Iterable[str]) -> Iterator[str]:
        for program in sorted(programs):
            found = self._found(program)
            if found is None:
                self.doubts.append(f"there is no program '{program}', which allow_commands names")
            elif _is_hidden(found) or not str(found).isprintable():
                self.doubts.append(f"the service cannot run '{found}': move it to /usr/local/bin")
            elif not any(found.is_relative_to(place) for place in RUNS):
                yield f"ExecPaths=-{_quoted(found)}"

    def _found(self, program: str) -> Path | None:
        """Where a program is that `run_command` may run."""
        from edgeapp.actions.run_command import PATH

        named = [Path(program)] if "/" in program else [Path(at, program) for at in PATH.split(":")]
        return next((path for path in named if self._machine.is_there(path) is not False), None)

    def newer(self) -> None:
        """What systemd 252, of Debian 12, does not know."""
        said = self._machine.run(["systemctl", "--version"], PROGRAM_S).out
        match = _VERSION.match(said)
        if match and int(match[1]) >= NEWER_SYSTEMD:
            self.texts["60-newer-systemd.conf"] = _NEWER

    def clock(self) -> None:
        """Who keeps the clock, if a service cannot ask them."""
        for keeper in _CLOCK_KEEPERS:
            if self._machine.is_there(keeper):
                self.doubts.append(
                    f"the clock is kept by {keeper.rpartition('/')[2]}, and the service cannot ask whether "
                    "it is right: messages are marked as of a clock that is not synchronised; "
                    "docs/install.md says at ProtectClock how to open that"
                )

    def _folder_of(self, path: Path) -> Path:
        """The folder that must be there for a path to be written; of what is not there, by its name."""
        return path.parent if path.suffix and not self._is_folder(path) else path

    def _is_folder(self, path: Path) -> bool:
        return self._machine.path(path).is_dir()

    def _without_link(self, node: str) -> str:
        """The node that a link of udev stands for, such as /dev/porch-camera."""
        path = self._machine.path(node)
        try:
            # Links of udev lie in /dev and are relative.
            return f"/dev/{path.readlink().name}" if path.is_symlink() else node
        except OSError:
            return node

    def _group_of(self, node: str) -> str:
        try:
            found = self._machine.group(self._machine.path(node).stat().st_gid)
        except OSError:
            return ""
        return found[0] if found and found[1] else ""


def _is_hidden(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in _HIDDEN)


def _quoted(path: Path) -> str:
    """A path in a unit file: no blank ends it, and nothing of it stands for something else."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if re.search(r"[\s\"'\\]", text) else text
