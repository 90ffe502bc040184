"""Processes that start within milliseconds, to be killed: forks of one that has imported all."""

import ctypes
import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

REPO = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
_LONGEST = 65_536


def serve(work: Callable[..., None]) -> None:
    """Fork for each line of standard input, and do the work that it orders, in JSON.

    Ends with its input, and its fork with it. For scripts that `Forks` runs.
    """
    while line := os.read(0, _LONGEST):
        child = os.fork()
        if not child:
            _work(work, json.loads(line))
        os.write(1, b"%d\n" % child)
        ended = os.pidfd_open(child)
        if ended not in select.select([ended, 0], [], [])[0]:
            os.kill(child, signal.SIGKILL)  # no order comes while it is at work: it is the end
        os.close(ended)
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


def _work(work: Callable[..., None], order: dict[str, Any]) -> None:
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        faulthandler.register(signal.SIGUSR1)
        work(**order)
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001  whatever it is, the fork must not live on as the server
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class Forks:
    """A script of this folder that calls `serve`; one fork of it at a time."""

    def __init__(self, script: str, *, under: Sequence[str] = ()) -> None:
        """`under`: a command that runs it."""
        self._process = subprocess.Popen(
            [*under, sys.executable, str(Path(__file__).parent / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=REPO,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )
        self.pid = 0
        """The fork's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def start(self, **order: Any) -> None:
        """Fork."""
        assert not self.pid
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self.pid = int(self._answer())

    def freeze(self) -> None:
        """Let the fork do nothing more."""
        with suppress(ProcessLookupError):  # `kill` says why
            os.kill(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """Kill the fork; it must not have ended by itself."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        code = self.wait()
        assert code == -signal.SIGKILL, f"it ended with {code}; see standard error"

    def tell_stacks(self) -> None:
        """Let the fork write to standard error where each of its threads is."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(1.0)  # it is busy with something else, or the test would not have failed

    def ended(self) -> bool:
        """Whether the fork has ended by itself."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def wait(self) -> int:
        """The code with which the fork ends."""
        code = int(self._answer())
        self.pid = 0
        return code

    def _answer(self) -> bytes:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        assert answer, "the script ended; see standard error"
        return answer
