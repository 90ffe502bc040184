"""A device to run example pipelines on: its files in a folder, the command as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.mosquitto import PATIENCE_S

REPO = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("edgeapp")


class Running:
    """`edgeapp run`, as a process of its own, with `--json` output."""

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        port: int | None = None,
        data_dir: Path | None = None,
        more: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`data_dir`: if not `data` in the folder. `more`: further lines of the device file."""
        device = folder / "device.yaml"
        lines = ["device: test", f"data_dir: {data_dir or folder / 'data'}"]
        if port is not None:
            lines += ["mqtt:", "  host: 127.0.0.1", f"  port: {port}"]
        device.write_text("\n".join([*lines, more]) + "\n")
        self._errors = (folder / "stderr.txt").open("w+")
        self.printed = ""
        """All that it wrote to standard output, once it has ended."""
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [str(COMMAND), "run", *map(str, arguments), "--device", str(device), "--json"],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "EDGEAPP_LOG": "json", **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def handles(self, number: signal.Signals) -> bool:
        """Whether it has put a handler of its own on a signal yet."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return bool(caught >> (number - 1) & 1)

    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, dict[str, Any]]:
        """Signal it; the exit code and the summary that it printed last."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, dict[str, Any]]:
        """Wait for its own end."""
        out, _ = self._process.communicate(timeout=PATIENCE_S * 20)
        self.printed = out
        lines = out.strip().splitlines()
        return self._process.returncode, json.loads(lines[-1]) if lines else {}

    def log(self) -> str:
        """All that it wrote to standard error so far."""
        return Path(self._errors.name).read_text()


def with_files(folder: Path, pipeline: str, files: Sequence[tuple[Path, str]]) -> Path:
    """A copy of an example pipeline, with files linked to where it looks for them."""
    copy = folder / pipeline
    copy.write_text((REPO / "pipelines" / pipeline).read_text())
    for target, name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(target)
    return copy
