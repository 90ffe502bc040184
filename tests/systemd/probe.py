"""What the unit runs in place of edgeapp where only the unit is of interest. Says what it sees, as JSON.

Runs on Debian's Python alone, with the package `edgeapp` beside it.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def tell(text: str) -> None:
    """Say it to systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0"))
        to.send(text.encode())


def readings() -> dict[str, object]:
    """Which signals the watchdog finds, and whether each kind of file of the kernel is read."""
    from edgeapp.core.clock import MonotonicClock
    from edgeapp.watchdog.readings import Readings

    found = Readings(MonotonicClock())
    found.read()
    time.sleep(0.05)
    read = found.read()
    return {
        "signals": [(one.name, one.found) for one in found.signals() if one.name != "cpu quota"],
        "values": {
            "load": read.busy_cores is not None,
            "memory": read.memory_available_mb is not None,
            "cpu_pressure": read.cpu_pressure is not None,
            "memory_pressure": read.memory_pressure is not None,
        },
    }


def mounted(path: str) -> str:
    """Whether a mount may be written: "rw", "ro", or empty where nothing is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == path:
            return fields[5].split(",")[0]
    return ""


def credentials() -> dict[str, str]:
    """Those that were given."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return {path.name: path.read_text() for path in Path(folder).iterdir()} if folder else {}


def refused(path: str) -> str:
    """Why a file cannot be made there; empty: it can."""
    try:
        Path(path).write_text("x")
    except OSError as error:
        return error.strerror or "?"
    return ""


def seen() -> dict[str, object]:
    """All of it."""
    runs = Path(os.environ.get("STATE_DIRECTORY", "/tmp"), "runs")
    count = int(runs.read_text()) if runs.exists() else 0
    runs.write_text(str(count + 1))
    return {
        **readings(),
        "uid": os.getuid(),
        "reads": sorted(path.name for path in Path("/srv").iterdir() if os.access(path, os.R_OK)),
        "runs": count,
        "state": str(runs.parent.resolve()),
        "credentials": credentials(),
        "sys": mounted("/sys"),
        "devices": mounted("/sys/devices"),
        "refused": {path: refused(path) for path in ("/etc/x", "/opt/edgeapp/x", "/run/x")},
        "nodes": sorted(path.name for path in Path("/dev").iterdir()),
    }


print("seen " + json.dumps(seen()), flush=True)
if "NOTIFY_SOCKET" in os.environ:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, lambda *_: print("hung up", flush=True))
    tell("READY=1\nSTATUS=well")
    while True:
        tell("WATCHDOG=1")
        time.sleep(1)
