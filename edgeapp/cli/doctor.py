"""`edgeapp doctor`: what is wrong with this device, and the command that puts each of it right."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Files, Flag

if TYPE_CHECKING:
    from edgeapp.plan.graph import Plan
    from edgeapp.service.doctor.case import Case
    from edgeapp.service.doctor.finding import Finding

SECRETS = Path("/etc/edgeapp/secrets")
_COLORS = {"ok": "\x1b[32m", "warning": "\x1b[33m", "failed": "\x1b[31m", "unseen": "\x1b[2m"}
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_MARKS = {"ok": "ok", "warning": "warning", "failed": "failed", "unseen": "unseen"}
_NARROWEST = 50


def doctor(*files: Files, device: Device = None, json: Flag = False) -> int:
    """Look at everything that the pipelines of this device stand on.

    Args:
        files: Pipeline files. If not given: those of the service, or of this user.
        device: The device file. If not given: what is installed.
        json: Print one JSON object.
    """
    from edgeapp.service.doctor.examine import examine

    case = case_of(files, device)
    found: list[Finding] = []
    show = None if json else _Table(case)
    for finding in examine(case):
        found.append(finding)
        if show is not None:
            show.add(finding)
    bad = sum(finding.verdict == "failed" for finding in found)
    if json:
        from json import dumps

        print(dumps({"ok": not bad, "findings": [finding.facts() for finding in found]}, indent=2))
    elif show is not None:
        show.end(found)
    return exits.FAILED if bad else exits.OK


def case_of(files: tuple[Path, ...], device: Path | None) -> "Case":
    """What is known of this device. Never fails for what is wrong with it."""
    from edgeapp.cli.installed import installed
    from edgeapp.cli.link_up import endpoint_of
    from edgeapp.cli.program import program
    from edgeapp.config.device import read_device
    from edgeapp.config.folder import yaml_files
    from edgeapp.config.places import Places, pipelines_dir, places
    from edgeapp.errors import Complaint, ConfigError
    from edgeapp.plan.load import load
    from edgeapp.service.doctor.case import Case, unit_facts
    from edgeapp.service.doctor.machine import Machine
    from edgeapp.service.systemd.drop_ins import needed

    machine = Machine()
    if machine.uid == 0 and SECRETS.is_dir():
        os.environ.setdefault("CREDENTIALS_DIRECTORY", str(SECRETS))  # what the service is given
    unit = unit_facts(machine)
    system = unit.get("LoadState") == "loaded"
    of: Path | Places | None = device or (places(root=True) if system else installed())
    device_given = f"--device {device}" if device else ""
    given = [*map(str, files), *filter(None, [device_given])]
    complaints: list[Complaint] = []
    config = None
    plans: tuple[Plan, ...] = ()
    try:
        if not files and of is not None:
            files = yaml_files(pipelines_dir(of))
        config = read_device(of)
        plans = load(files, device=config, open_models=False) if files else ()
    except ConfigError as error:
        complaints.extend(error.complaints)
    live, problem = _live(device)
    usual = of.data if isinstance(of, Places) else places().data
    return Case(
        machine,
        config.data_dir if config else usual,
        program=program(),
        config_given=" ".join(given),
        device_given=device_given,
        files=tuple(files),
        device=config,
        plans=plans,
        needs=needed(plans, config) if config else None,
        endpoint=endpoint_of(config.mqtt) if config and config.mqtt else None,
        complaints=tuple(complaints),
        live=live,
        live_problem=problem,
        unit=unit,
    )


def _live(device: Path | None) -> tuple[dict[str, Any] | None, str]:
    """The status of what runs; or why there is none."""
    from edgeapp.cli.asking import answer
    from edgeapp.errors import ConfigError, Unavailable

    try:
        return answer(device, "status", window_s=0.5).facts, ""
    except (Unavailable, exits.Quit) as error:
        return None, str(error)
    except ConfigError:
        return None, "the configuration is wrong, so it is not known where to ask"


class _Table:
    """Findings as they come: a line each, and below it what puts it right."""

    def __init__(self, case: "Case") -> None:
        import shutil

        self._color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._columns = max(_NARROWEST, shutil.get_terminal_size().columns)
        self._last = ""
        who = case.user().name
        name = case.device.device if case.device else "this device"
        print(f"{self._bold(name)}, pipelines run as {who}", flush=True)

    def add(self, finding: "Finding") -> None:
        """Print one."""
        import textwrap

        check = "" if finding.check == self._last else finding.check
        self._last = finding.check
        mark = f"{_MARKS[finding.verdict]:<8}"
        if self._color:
            mark = f"{_COLORS[finding.verdict]}{mark}{_PLAIN}"
        room = self._columns - 27
        first, *rest = textwrap.wrap(finding.said, room, break_on_hyphens=False) or [""]
        print(f"{check:<17.17} {mark} {first}", flush=True)
        for line in rest:
            print(f"{'':26} {line}")
        if finding.fix and finding.verdict != "ok":
            # A command is copied, so it is never broken by us.
            print(f"{'':26} {self._dim('fix:')} {finding.fix}", flush=True)

    def end(self, found: "list[Finding]") -> None:
        """Say how it went."""
        print("\n" + self._bold(summary(found)), flush=True)

    def _bold(self, text: str) -> str:
        return f"{_BOLD}{text}{_PLAIN}" if self._color else text

    def _dim(self, text: str) -> str:
        return f"{_DIM}{text}{_PLAIN}" if self._color else text


def summary(found: "list[Finding]") -> str:
    """One sentence on all findings."""
    return ", ".join(_counts(found)) or "nothing was looked at"


def _counts(found: "list[Finding]") -> Iterator[str]:
    from edgeapp.cli.words import plural

    counts = {v: sum(one.verdict == v for one in found) for v in _MARKS}
    if counts["failed"]:
        yield f"{counts['failed']} failed"
    if counts["warning"]:
        yield plural(counts["warning"], "warning")
    if counts["ok"]:
        yield f"{counts['ok']} ok"
    if counts["unseen"]:
        yield f"{counts['unseen']} could not be looked at"
