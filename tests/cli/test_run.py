"""`edgeapp run` as a user meets it: in a process of its own, in a pipe and in a terminal."""

import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Start

pytestmark = pytest.mark.slow
LIMIT_S = 60


def test_help_and_import_load_nothing_heavy() -> None:
    code = (
        "import sys; from edgeapp.cli import main; "
        "codes = [main(a) for a in (['--help'], ['run', '--help'], ['bench', '--help'], [])]; "
        "import edgeapp; "
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'pydantic', 'structlog', 'aiomqtt'}; "
        "sys.exit(str(codes) + str(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.stderr.strip() == "[0, 0, 0, 0]set()"


def test_a_vibration_pipeline_loads_neither_opencv_nor_onnxruntime_nor_mqtt(pump: Path) -> None:
    """Nor what shows it, where nobody looks."""
    code = (
        "import sys; from edgeapp.cli import main; "
        f"code = main(['run', {str(pump)!r}, '--for', '0.5s']); "
        "heavy = {'cv2', 'onnxruntime', 'aiomqtt', 'sqlite3', 'edgeapp.cli.view'}; "
        "sys.exit(str(code) + str(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.stderr.strip().endswith("0set()")


@pytest.mark.parametrize("mode", ["normal", "last-good", "safe"])
@pytest.mark.parametrize("named", [True, False])
def test_numpy_is_not_loaded_before_blas_is_kept_to_one_thread(
    named: bool, mode: str, pump: Path
) -> None:
    """Afterwards it is too late: the threads are there."""
    given = [str(pump)] if named else ["--device", str(pump.parent / "edgeapp.yaml")]
    (pump.parent / "pipelines").mkdir()
    shutil.copy(pump, pump.parent / "pipelines")
    code = (
        "import sys; from edgeapp.cli import main, run; "
        "run.one_thread_each = lambda: sys.exit(str({'numpy'} & sys.modules.keys())); "
        f"main(['run', *{given!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"EDGEAPP_START_MODE": mode},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.stderr.strip() == "set()"


def ran(
    start: Start, *arguments: str | Path, for_s: int, until: Callable[[str], bool]
) -> tuple[int, str, str]:
    """Exit code and output of a run that came to something; a busy machine needs longer for that."""
    for longer in (1, 4, 16):
        process = start("run", *arguments, "--for", f"{longer * for_s}s")
        out, err = process.communicate(timeout=LIMIT_S + longer * for_s)
        if until(out + err):
            break
    return process.returncode, out, err


def test_for_ends_a_run_with_a_summary(start: Start, pump: Path) -> None:
    code, out, err = ran(start, pump, for_s=3, until=lambda said: "; trend " in said)
    assert code == 0, err
    assert "pump stopped: " in out
    assert "all answered; trend " in out
    assert "Traceback" not in err


def test_json_prints_states_and_a_summary(start: Start, pump: Path) -> None:
    code, out, err = ran(
        start, pump, "--json", for_s=6, until=lambda said: '"state": "running"' in said
    )
    assert code == 0, err
    first, *states, last = [json.loads(line) for line in out.splitlines()]
    assert first == {"type": "start", "subscribe": []}
    assert len(states) >= 1
    assert states[-1]["pipelines"][0]["state"] == "running"
    assert "governor" in states[-1]  # null until it has decided
    assert last["type"] == "summary"
    assert last["pipelines"][0]["ending"] == "stopped"
    taken = {stage["id"]: stage["taken"] for stage in last["pipelines"][0]["stages"]}
    assert taken["features"] > 0
    assert last["uplink"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after_s", [0.0, 2.0])
def test_signals_end_a_run_with_success(
    number: signal.Signals, after_s: float, start: Start, pump: Path
) -> None:
    """Also while it is still opening, just after its first line."""
    process = start("run", pump, "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["type"] == "start"
    time.sleep(after_s)
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def test_a_closed_pipe_ends_a_run_quietly(start: Start, pump: Path) -> None:
    process = start("run", pump, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(LIMIT_S) == 141
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_messages_can_be_watched_with_the_command_that_run_prints(start: Start, pump: Path) -> None:
    pytest.importorskip("iotcore")
    pump.write_text(pump.read_text() + "  send: {output: mqtt, from: features}\n")
    process = start("run", pump, "--json")
    assert process.stdout is not None
    [tap, _] = json.loads(process.stdout.readline())["subscribe"]
    watcher = start(
        "listen", *tap.split()[tap.split().index("listen") + 1 :], "--count", "12", "--json"
    )
    out, err = watcher.communicate(timeout=LIMIT_S)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT_S)
    assert watcher.returncode == 0, err
    messages = [json.loads(line) for line in out.splitlines()]
    assert any(message["topic"].endswith("/pump/send") for message in messages)
    assert process.returncode == 0


STUCK = """\
import time
from edgeapp.api import Context, Features, Options, Packet, action

class O(Options):
    "None."

@action("stick")
class Stick:
    "Never come back."
    def __init__(self, options: O, context: Context) -> None: ...
    def act(self, packet: Packet[Features]) -> None:
        time.sleep(1_000)
"""


def test_a_stuck_stage_is_named_and_the_process_ends(
    start: Start, pump: Path, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "stick.py").write_text(STUCK)
    pump.write_text(pump.read_text() + "  glue: {action: stick, from: features}\n")
    code, out, err = ran(start, pump, for_s=4, until=lambda said: "left behind" in said)
    assert code == 1
    assert "left behind, stuck: pump/glue" in err
    assert "pump stopped" in out


FAILING = """\
from edgeapp.api import Context, Features, Options, Packet, action

class O(Options):
    "None."

@action("fail")
class Fail:
    "Raise."
    def __init__(self, options: O, context: Context) -> None: ...
    def act(self, packet: Packet[Features]) -> None:
        raise RuntimeError("as written")
"""


def test_a_pipeline_that_ends_failed_is_told_by_the_exit_code(
    start: Start, pump: Path, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "fail.py").write_text(FAILING)
    pump.write_text(pump.read_text() + "  bang: {action: fail, from: features}\n")
    code, out, err = ran(start, pump, for_s=10, until=lambda said: "pump failed" in said)
    assert code == 1
    assert "pump failed (stage 'bang' keeps raising: RuntimeError('as written'))" in out
    assert "as written" in err


class Terminal:
    """`edgeapp` in a pseudo terminal of 80 by 24."""

    def __init__(self, *arguments: str | Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.environ.pop("NO_COLOR", None)
            command = [sys.executable, "-m", "edgeapp", *map(str, arguments)]
            os.execv(sys.executable, command)
        self.resize(80, 24)
        self.shown = ""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, text: str) -> None:
        """Read until the text was shown anew."""
        new = ""
        until_s = time.monotonic() + LIMIT_S
        while text not in new:
            assert time.monotonic() < until_s, f"{text!r} is not in {new!r}"
            new += self._read()
        self.shown += new

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        while new := self._read():
            self.shown += new
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> str:
        try:
            return os.read(self.fd, 65_536).decode(errors="replace")
        except OSError:  # how Linux says that the other end was closed
            return ""


def test_in_a_terminal_the_view_is_live_until_ctrl_c(pump: Path) -> None:
    terminal = Terminal("run", pump)
    terminal.read_until("● running")
    terminal.read_until("→ features: ")
    terminal.resize(50, 12)
    terminal.read_until("● running")
    os.write(terminal.fd, b"\x03")
    assert terminal.end() == 0
    last = terminal.shown[terminal.shown.rindex("● ") :]
    assert "stopped" in last
    assert "\x1b[?25h" in last, "the cursor is shown again"
    assert "pump stopped: " in last
    assert "pipeline ended" in terminal.shown, "logs are shown while the view is up"
    assert "Traceback" not in terminal.shown
