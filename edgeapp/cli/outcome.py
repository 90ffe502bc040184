"""From the command line to a command, and from its end to a sentence and an exit code."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from edgeapp import __version__
from edgeapp.cli import exits
from edgeapp.cli.program import program
from edgeapp.errors import ConfigError, PluginError, Unavailable

_INSPECTION = "pipelines/inspection_demo.yaml"


class _Command(NamedTuple):
    where: str
    help: str
    example: str
    """Its arguments: shown at the end of its help, and run by the tests."""
    takes: str = ""
    """What its usage line shows behind the options."""


COMMANDS = {
    "run": _Command(
        "edgeapp.cli.run:run",
        "Run pipelines until they end, Ctrl-C, SIGTERM or --for.\n\n"
        "Without a broker in the device file, a pipeline that sends MQTT messages gets one of its "
        "own, on this machine alone. Exit code 0 also after Ctrl-C; 1 if a pipeline ended failed; "
        "78 for mistakes in a file.\n\n"
        "Without a FILE it is the service of this device: the pipelines of /etc/edgeapp/pipelines "
        "run (for others than root: of ~/.config/edgeapp/pipelines), and the log alone says how it "
        "goes.",
        f"run {_INSPECTION} --for 30s",
        "[FILE...]",
    ),
    "check": _Command(
        "edgeapp.cli.check:check",
        "Check pipeline files, and show every mistake in them.\n\n"
        "Nothing is started. Exit code 0 if they can run, 78 if not. Without a FILE, all that is "
        "installed is checked.",
        f"check {_INSPECTION}",
        "[FILE...]",
    ),
    "config": _Command(
        "edgeapp.cli.config:app",
        "Show the device configuration as it counts, and where each value came from.",
        "config show --origin",
    ),
    "graph": _Command(
        "edgeapp.cli.graph:graph",
        "Show how a pipeline is wired: stages, types, threads and links.",
        f"graph {_INSPECTION}",
        "FILE",
    ),
    "plugins": _Command(
        "edgeapp.cli.plugins:app",
        "Show the plugins that pipelines can use, or one of them with its options.",
        "plugins info camera",
    ),
    "schema": _Command(
        "edgeapp.cli.schema:schema",
        "Print the JSON Schema of pipeline files, of the device file, or those of messages.",
        "schema --messages",
    ),
    "doctor": _Command(
        "edgeapp.cli.doctor:doctor",
        "Look at everything that the pipelines of this device stand on.\n\n"
        "What is wrong is shown with the command that puts it right. Nothing is changed. Without "
        "root some of it cannot be looked at. Exit code 1 if something does not work.",
        "doctor",
        "[FILE...]",
    ),
    "support-bundle": _Command(
        "edgeapp.cli.support_bundle:support_bundle",
        "Pack what tells what is wrong with this device into one file, without its secrets.\n\n"
        "Configuration, log, state, versions, and what doctor says; no pictures, no messages. "
        "Secrets are taken out, and the file is searched for them before it gets its name.",
        "support-bundle",
        "[FILE]",
    ),
    "top": _Command(
        "edgeapp.cli.top:top",
        "Show what runs on this device, live: rates, ages, losses, models, heat, what waits.\n\n"
        "Keys pause pipelines, and pin models or set them free. Needs the extra 'top'.",
        "top",
    ),
    "status": _Command(
        "edgeapp.cli.status:status",
        "Say how the pipelines are that run on this machine.\n\n"
        "Exit code 0 if all pipelines run, 1 if one failed, is stuck or waits for something that "
        "is not there, 69 when nothing runs.",
        "status",
    ),
    "tap": _Command(
        "edgeapp.cli.tap:tap",
        "Show what comes out of a stage of a running pipeline, live.\n\n"
        "The pipeline does not wait: what comes faster than it is shown is skipped, and counted. "
        "Regions that a `mask` hides are hidden here too.",
        "tap detect --count 10",
        "STAGE",
    ),
    "pin": _Command(
        "edgeapp.cli.steer:pin",
        "Hold a model stage on one variant of its ladder, whatever heat and load say.",
        "pin detect yolox_nano --for 10m",
        "STAGE VARIANT",
    ),
    "auto": _Command(
        "edgeapp.cli.steer:auto",
        "Let a pinned model stage follow heat and load again.",
        "auto detect",
        "STAGE",
    ),
    "tune": _Command(
        "edgeapp.cli.steer:tune",
        "Change an option of a running stage, such as a threshold, until its pipeline starts anew.",
        "tune gate rise_above 1.5",
        "STAGE OPTION VALUE",
    ),
    "ack": _Command(
        "edgeapp.cli.steer:ack",
        "Acknowledge a latched alarm: it ends once what raised it is over.",
        "ack health",
        "STAGE",
    ),
    "pause": _Command(
        "edgeapp.cli.steer:pause",
        "Drain a running pipeline and close its devices, until `resume`.",
        "pause porch",
        "[PIPELINE]",
    ),
    "resume": _Command(
        "edgeapp.cli.steer:resume",
        "Open a paused pipeline again.",
        "resume porch",
        "[PIPELINE]",
    ),
    "reload": _Command(
        "edgeapp.cli.steer:reload",
        "Read the pipeline files again: those that changed start anew, the others notice nothing.\n\n"
        "If anything in them is wrong, that is said, and all goes on as it was.",
        "reload",
    ),
    "outbox": _Command(
        "edgeapp.cli.outbox:app",
        "Show what waits for the broker on this device's disk, and remove it.\n\n"
        "Works while the pipelines run, and while they do not. Exit code 1 if messages cannot be kept "
        "on the disk, or some of them cannot be read.",
        "outbox peek --newest 3",
    ),
    "listen": _Command(
        "edgeapp.cli.listen:listen",
        "Show the messages that a device sends, as its broker has them, one short line each.\n\n"
        "Exit code 69 when no broker answers.",
        "listen --port 1883 --count 10",
        "[TOPIC]",
    ),
    "record": _Command(
        "edgeapp.cli.record:record",
        "Run a pipeline, and keep what its sources give in a file.\n\n"
        "The file holds all that `replay` needs but the models, whose hashes it knows. Regions "
        "that a `mask` hides are blacked out in it. Exit codes as of `run`; 69 if the recording "
        "cannot be written.",
        f"record {_INSPECTION} --out belt.edgerec --for 30s",
        "FILE",
    ),
    "replay": _Command(
        "edgeapp.cli.replay:replay",
        "Print what a pipeline says of a recording, one message a line.\n\n"
        "Nothing is sent, written or switched. The same recording gives the same bytes. Exit code "
        "1 if the models are others than those of the recording, 65 if it is damaged.",
        "replay belt.edgerec",
        "RECORDING",
    ),
    "test": _Command(
        "edgeapp.cli.test:run_cases",
        "Run recorded inputs through pipelines, and compare what they say with what is expected.\n\n"
        "Nothing is sent, written or switched. Exit code 1 if a case fails, 66 if there is none.",
        "test pipelines",
        "[DIR]",
    ),
    "thermal": _Command(
        "edgeapp.cli.thermal:app",
        "Record the heat and load of this device, and try the watchdog on it.",
        "thermal simulate burst_storm",
    ),
    "calibrate": _Command(
        "edgeapp.cli.calibrate:calibrate",
        "Load this device in steps, and learn how warm that makes it.\n\n"
        "What is learned is kept in the data directory, for the watchdog to begin with. The cores "
        "are busy meanwhile, and the load ends 5 degrees before the device would slow down. Exit code "
        "69 if it has no temperature sensor, 1 if too little was learned.",
        "calibrate --for 10m",
    ),
    "service": _Command(
        "edgeapp.cli.service:app",
        "Fit the service of this device to what its pipelines use.",
        "service dropins",
    ),
    "new": _Command(
        "edgeapp.cli.new:new",
        "Make a folder with a project that works as it is: pipeline, device file, test, README.\n\n"
        "Templates: camera, machine (vibration), sound, and plugin, with one of your own.",
        "new camera my-camera",
        "TEMPLATE DIR",
    ),
    "bench": _Command(
        "edgeapp.cli.bench:bench",
        "Run a pipeline as fast as its source can, and say what each stage costs.\n\n"
        "Sinks are left out: nothing is sent, written or switched. A model stage is measured on "
        "each rung of its ladder in turn.",
        f"bench {_INSPECTION} --for 5s",
        "FILE",
    ),
}


_STARTS = frozenset({"run", "record", "replay", "bench"})
"""Commands that start pipelines, unless a mistake keeps them from it."""
_GROUPS = frozenset({"plugins", "outbox", "thermal", "config", "service"})
"""Commands that are several, each with settings of its own."""


def build_app() -> App:
    """The commands, none of which is imported yet."""
    called = program()
    app = App(
        name="edgeapp",
        help="Run camera, vibration and audio pipelines on this device.",
        help_format="plaintext",
        help_epilogue=_epilogue(f"{called} run {_INSPECTION} --for 30s"),
        version=__version__,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for name, command in COMMANDS.items():
        if name in _GROUPS:
            app.command(command.where, name=name, help=command.help)
            continue
        app.command(
            command.where,
            name=name,
            help=command.help,
            usage=f"Usage: edgeapp {name} [OPTIONS] {command.takes}".rstrip(),
            help_epilogue=_epilogue(f"{called} {command.example}"),
        )
    return app


def _epilogue(example: str) -> str:
    return f"Example:\n  {example}"


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Never raises for what a user can cause."""
    app = build_app()
    return guarded(lambda: app(list(arguments)), starts=bool(_STARTS.intersection(arguments[:1])))


def guarded(command: Callable[[], object], *, starts: bool = False) -> int:
    """Call `command` and turn its end into an exit code, and a sentence where one is due.

    `starts`: whether it is one that starts pipelines.
    """
    code: object
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        code = exits.NOBODY_READS
    except CycloptsError as error:
        error.verbose = False
        code = _say(exits.USAGE, f"{error}\nSee '{program()} --help'.")
    except exits.Quit as error:
        code = _say(error.code, str(error))
    except ConfigError as error:
        code = complain(error, starts=starts)
    except Unavailable as error:
        code = _say(exits.UNAVAILABLE, str(error))
    except PluginError as error:
        code = _say(exits.BUG, f"a plugin is broken: {error}")
    except Exception:  # noqa: BLE001  the last resort: it says so and keeps the traceback
        traceback.print_exc()
        code = _say(
            exits.BUG, f"this is a bug in edgeapp {__version__}; please report what stands above"
        )
    return code if isinstance(code, int) else exits.OK


def complain(error: ConfigError, *, starts: bool) -> int:
    """Print every complaint to standard error; returns the exit code for them.

    `starts`: say that nothing was started.
    """
    from edgeapp.document.render import render_all

    color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    print(render_all(error.complaints, color=color), file=sys.stderr)
    count = len(error.complaints)
    ending = "; nothing was started" if starts else ""
    return _say(exits.CONFIG, f"{count} mistake{'s'[: count != 1]}{ending}")


def _say(code: int, sentence: str) -> int:
    print(f"edgeapp: {sentence}", file=sys.stderr)
    return code


def _discard_stdout() -> None:
    """Let the interpreter flush what is left at exit without an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
