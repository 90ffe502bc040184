"""Running a program of the device when something is found."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO, Any

from pydantic import ValidationInfo, field_validator

from edgeapp.actions._facts import Facts, Result, facts_of
from edgeapp.actions._last_words import LastWords
from edgeapp.api import BadPacket, Context, Field, Options, Packet, Surroundings, action

PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where names of programs are looked up."""
_PLACES = ("pipeline", "stage", "origin", "seq", "time_s", "label", "score", "count", "event",
           "phase", "kind")  # fmt: skip
"""What an argument may be told."""
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_MOST_CHARACTERS = 200
"""Of a value in an argument."""
_MOST_OUTPUT = 4096
"""Bytes of what a command writes that are kept for the log; the rest is read and forgotten."""
_GRACE_S = 1.0
"""Between asking a command to end and ending it."""
_LOOK_S = 0.05


class RunCommandOptions(Options):
    """What to run, and for how long it may."""

    command: tuple[str, ...] = Field(
        min_length=1,
        max_length=64,
        examples=[["espeak-ng", "{label} at the door"]],
        description="The program and its arguments, as a list; no shell reads it. Arguments may "
        "hold {label}, {score}, {count}, {event}, {phase}, {kind}, {origin}, {seq}, {time_s}, "
        "{pipeline} and {stage}. The device file must allow the program.",
    )
    limit_s: float = Field(
        default=8.0,
        gt=0,
        le=3600,
        description="A command that takes longer is ended, with all that it started.",
    )

    @field_validator("command")
    @classmethod
    def _can_be_run(cls, command: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for argument in command[1:]:
            for name in _PLACEHOLDER.findall(argument):
                if name not in _PLACES:
                    known = ", ".join(f"{{{place}}}" for place in _PLACES)
                    raise ValueError(f"there is no {{{name}}}; an argument may hold {known}")
        if any("\0" in part for part in command):
            raise ValueError("a command cannot hold NUL characters")
        if "/" in command[0] and not command[0].startswith("/"):
            raise ValueError("give the absolute path of a program, or its name")
        allowed = info.context.allow_commands if isinstance(info.context, Surroundings) else ()
        program = _found(command[0])
        if program not in {_found(one) for one in allowed}:
            raise ValueError(
                f"this device does not let pipelines run '{command[0]}'; whoever owns it may write "
                f"'allow_commands: [{command[0]}]' in the device file"
            )
        if program is None or not os.access(program, os.X_OK) or not program.is_file():
            raise ValueError(f"there is no program '{command[0]}' that can be run")
        return (str(program), *command[1:])


def _found(program: str) -> Path | None:
    """A program by its absolute path, or by its name on PATH; links of folders resolved.

    A link to a program stays: some programs do different things under different names.
    """
    if "/" not in program:
        program = shutil.which(program, path=PATH) or ""
    path = Path(program)
    return path.parent.resolve() / path.name if path.is_absolute() else None


@action("run_command")
class RunCommand:
    """Run a program of the device, which the device file must allow, for each packet.

    One at a time, without a shell, without this service's environment and input; with a time
    limit. A value fills its place within one argument and never becomes an option or a second
    argument. A command that fails is counted as a dropped packet, with what it wrote last.
    """

    def __init__(self, options: RunCommandOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._last_words = LastWords(context.stopping)
        home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
        self._environment = {"PATH": PATH, "LANG": "C.UTF-8", **home}

    def act(self, packet: Packet[Result], /) -> None:
        """Run the command and wait for it.

        Raises:
            BadPacket: it could not be started, failed, or took too long.
            Stopping: the pipeline stops, and there is no time left for another command.
        """
        self._last_words.begin()
        facts = {
            **facts_of(packet),
            "pipeline": self._context.pipeline,
            "stage": self._context.id,
        }
        program, *arguments = self._options.command
        command = [program, *(_filled(argument, facts) for argument in arguments)]
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell, and the device's owner allowed it
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            problem = f"'{program}' cannot be started: {error.strerror}"
            raise BadPacket(problem, reason="not_started") from None
        began_s = time.monotonic()
        with process:
            assert process.stdout is not None
            ended, output = self._attend(process, process.stdout)
        name, said = Path(program).name, output.decode(errors="replace").strip()
        if not ended:
            problem = (
                f"'{name}' was ended after {time.monotonic() - began_s:.1f} s; it wrote: {said}"
            )
            raise BadPacket(problem, reason="timeout")
        if process.returncode:
            problem = f"'{name}' failed with exit code {process.returncode}; it wrote: {said}"
            raise BadPacket(problem, reason="exit_code")
        self._context.log.debug("command ran", command=name, output=said)

    def _attend(self, process: "subprocess.Popen[bytes]", pipe: IO[bytes]) -> tuple[bool, bytes]:
        """Read along until the command ends, or its time; whether it did, and its last words.

        What it leaves running in its session's group ends with it.
        """
        kept = b""
        deadline_s = time.monotonic() + self._options.limit_s
        os.set_blocking(pipe.fileno(), False)
        with DefaultSelector() as selector:
            selector.register(pipe, EVENT_READ)
            while True:
                over = _is_over(process)
                if selector.select(0 if over else _LOOK_S):
                    data = os.read(pipe.fileno(), 65_536)
                    kept = (kept + data)[-_MOST_OUTPUT:]
                    if not data and not over:  # it closed its output, and goes on
                        time.sleep(_LOOK_S)
                if over or self._last_words.left_s(deadline_s) <= 0:
                    break
        if not over:
            _signal(process, signal.SIGTERM)
            patience_s = time.monotonic() + _GRACE_S
            while not _is_over(process) and time.monotonic() < patience_s:
                time.sleep(_LOOK_S)
        _signal(process, signal.SIGKILL)
        process.wait()
        return over, kept


def _is_over(process: "subprocess.Popen[bytes]") -> bool:
    """Whether the command has ended; it stays a zombie, so that its group keeps its number."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """To the command, and to all of its group."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left, or none of ours
        os.killpg(process.pid, number)


def _filled(argument: str, facts: Facts) -> str:
    """An argument with its places filled.

    Raises:
        BadPacket: a value made an option of it, as a label "-rf" would.
    """

    def value_of(place: re.Match[str]) -> str:
        value: Any = facts.get(place[1])
        text = "" if value is None else str(value)
        return "".join(c if c.isprintable() else "?" for c in text[:_MOST_CHARACTERS])

    filled = _PLACEHOLDER.sub(value_of, argument)
    if filled.startswith("-") and not argument.startswith("-"):
        raise BadPacket(f"'{filled}' would be an option of the command", reason="option")
    return filled
