"""What all of it stands on: Python, the wheels and what is in them, systemd, the processor."""

import json
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version

from edgeapp import __version__
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding, failed, ok, unseen, warning

OLDEST_PYTHON = (3, 11)
OLDEST_SYSTEMD = 247
"""That knows LoadCredential."""
NEW_SYSTEMD = 252
"""That all of the unit was tried with, and newer ones."""
IMPORTS_S = 19.0
NATIVE = (
    *("numpy", "cv2", "onnxruntime", "msgspec", "pydantic_core", "psutil"),
    *("av", "sounddevice", "soundfile", "gpiod", "serial"),
)
"""Modules with machine code in them; those of extras need not be there."""
_PACKAGES = {
    "cv2": "opencv-python-headless",
    "pydantic_core": "pydantic-core",
    "serial": "pyserial",
}
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SIGNALS = {-4: "an instruction that this processor does not have", -11: "a crash (SIGSEGV)"}


def python(_case: Case) -> Iterator[Finding]:
    """The interpreter that runs us."""
    said = f"edgeapp {__version__}, Python {platform.python_version()}, {platform.machine()}"
    libc = " ".join(platform.libc_ver()).strip()
    said += f", {libc}" if libc else ""
    if sys.version_info < OLDEST_PYTHON:
        yield failed("python", said, "install Python 3.11 or newer, then deploy/install.sh again")
    else:
        yield ok("python", said)


def packages(case: Case) -> Iterator[Finding]:
    """Whether all that we need is installed."""
    try:
        needed = distribution("edgeapp").requires or []
    except PackageNotFoundError:
        yield unseen("packages", "edgeapp is not installed but run from its source")
        return
    names = [m[0] for one in needed if "extra ==" not in one and (m := _NAME.match(one))]
    missing = [name for name in names if _version(name) is None]
    if missing:
        fix = _reinstall(case)
        yield failed("packages", f"missing: {', '.join(missing)}", fix)
    else:
        yield ok("packages", f"all {len(names)} that are needed are there")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _reinstall(case: Case) -> str:
    return (
        case.sudo("deploy/install.sh")
        if case.installed
        else f"{sys.executable} -m pip install -U edgeapp"
    )


def imports(case: Case) -> Iterator[Finding]:
    """Each wheel with machine code, imported in a process of its own: it may end that process."""
    rest = [name for name in NATIVE if _version(_PACKAGES.get(name, name)) is not None]
    good: list[str] = []
    for _ in range(3):  # one that ends the process leaves those behind it unsaid
        if not rest:
            break
        command = (sys.executable, "-m", "edgeapp.service.doctor.loading", "imports", *rest)
        ran = case.machine.run(command, IMPORTS_S)
        for line in ran.out.splitlines():
            try:
                row = json.loads(line)
                name, problem = str(row["what"]), str(row["problem"])
            except (ValueError, KeyError, TypeError):
                continue
            if name in rest:
                rest.remove(name)
                if problem:
                    tell = failed if _is_used(name, case) else warning
                    yield tell(
                        "wheels", f"{name} cannot be imported: {problem}", _mend(case, problem)
                    )
                else:
                    good.append(name)
        if ran.code is None:
            yield unseen("wheels", f"{', '.join(rest) or 'all'}: {ran.problem}")
            return
        if rest:
            culprit = rest.pop(0)
            how = _SIGNALS.get(ran.code, f"exit code {ran.code}")
            fix = f"build {culprit} for this processor, or install another version; {_reinstall(case)}"
            yield failed("wheels", f"{culprit} ends the process: {how}", fix)
    if good:
        yield ok("wheels", f"{', '.join(good)} can be imported")


def _is_used(name: str, case: Case) -> bool:
    """Whether pipelines need a module; those that are wrong may need any."""
    if name != "sounddevice" or case.complaints:
        return True
    stages = (stage for plan in case.plans for stage in plan.stages.values())
    return any(stage.plugin.name == "audio" and stage.live for stage in stages)


def _mend(case: Case, problem: str) -> str:
    if "PortAudio" in problem:  # of the system: no wheel for Linux brings it
        return case.sudo("apt-get install libportaudio2")
    library = re.search(r"(lib[\w+.-]+\.so[\w.]*)", problem)
    if library:
        return case.sudo(f"apt-get install $(apt-file search -l {library[1]} | head -n1)")
    if "GLIBC" in problem:
        return "this system is older than the wheel: upgrade it, or build the wheel here"
    return _reinstall(case)


def systemd(case: Case) -> Iterator[Finding]:
    """Its version, where there is one."""
    ran = case.machine.run(("systemctl", "--version"), 5.0)
    found = re.match(r"systemd (\d+)", ran.out)
    if found is None:
        yield ok("systemd", "this machine has none")
        return
    number = int(found[1])
    if number < OLDEST_SYSTEMD:
        fix = "upgrade the system to Debian 12 or newer"
        yield failed("systemd", f"version {number} gives the service no secrets", fix)
    elif number < NEW_SYSTEMD:
        yield warning(
            "systemd", f"version {number} is older than what the unit was tried with (252)"
        )
    else:
        yield ok("systemd", f"version {number}")


CHECKS: tuple[Check, ...] = (python, packages, imports, systemd)
