"""A real PulseAudio with one loudspeaker that nobody hears and whose sound is the microphone."""

import ctypes.util
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.servers.mosquitto import wait_until

SINK = "virt"
"""The loudspeaker; `virt.monitor` is the microphone, and the default one."""

_NEEDED = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils", "paplay": "pulseaudio-utils"}
_ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


class PulseAudio:
    """PulseAudio with a null sink, in a folder of its own, until the end of the `with` block.

        with PulseAudio(tmp_path) as pulse:
            pulse.speak_to_this_process(monkeypatch)  # or env=pulse.environment for another one
            pulse.play(Path("yes.wav"))

    A program in `environment` finds it as its `default` microphone, through ALSA and PortAudio, and
    nothing of the user's own sound. Skips the test, naming the package, where one is missing.
    """

    def __init__(self, folder: Path, *, rate_hz: int = 16_000) -> None:
        for program, package in _NEEDED.items():
            if shutil.which(program) is None:
                pytest.skip(f"'{program}' is not installed: sudo apt install {package}")
        if ctypes.util.find_library("portaudio") is None:
            pytest.skip("PortAudio is not installed: sudo apt install libportaudio2")
        if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
            pytest.skip(
                "ALSA's way to PulseAudio is not installed: sudo apt install libasound2-plugins"
            )
        self._socket = folder / "pulse.sock"
        self._log = folder / "pulse.log"
        self._rate_hz = rate_hz
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("home", "run"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "run").chmod(0o700)
        (folder / "asound.conf").write_text(_ALSA)
        self.environment = {
            **os.environ,
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        }
        """What a process needs around it to hear and to speak here."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start, and wait until it can be spoken to. Also after `kill`, at the same place."""
        self._socket.unlink(missing_ok=True)
        # Without `norewinds` an idle null sink works in pieces of two seconds, like no device.
        sink = f"sink_name={SINK} rate={self._rate_hz} channels=1 format=s16le norewinds=1"
        self._spawn(
            "pulseaudio",
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "-n",
            f"--load=module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            f"--load=module-null-sink {sink}",
        )
        wait_until(self._listens, f"PulseAudio listens; see {self._log}")

    def kill(self) -> None:
        """Be gone at once, as when the microphone is pulled out."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()

    def play(self, sound: Path) -> None:
        """Play a WAV or FLAC file into the microphone; returns when it has been played."""
        subprocess.run(
            ["paplay", f"--device={SINK}", "--latency-msec=2000", str(sound)],
            env=self.environment,
            check=True,
            timeout=120,
        )

    def speak_to_this_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be the default microphone of this process too, until the end of the test."""
        for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER", "ALSA_CONFIG_PATH"):
            monkeypatch.setenv(name, self.environment[name])

    def _spawn(self, *command: str) -> None:
        with self._log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            )

    def _listens(self) -> bool:
        asked = subprocess.run(
            ["pactl", "set-default-source", f"{SINK}.monitor"],
            env=self.environment,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return asked.returncode == 0
