"""The command line. Each command is a small module, imported when it is called.

Nothing heavy is imported before a command needs it: `edgeapp --help` loads neither numpy nor
OpenCV nor onnxruntime. `outcome` turns what a command raises into a sentence and an exit code.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence

from edgeapp.cli import exits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own if not given); returns the exit code."""
    ends_process = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    running = arguments[:1] == ["run"]
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    if running:  # a service may be stopped at any moment, also while it is still importing
        signal.signal(signal.SIGTERM, _leave if ends_process else signal.default_int_handler)
        gc.disable()  # a tenth of the start; `run` switches it on again once all is imported
        # Else pydantic asks every package that is installed for plugins of its own.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    try:
        from edgeapp.cli.outcome import run_command_line

        return run_command_line(arguments)
    except KeyboardInterrupt:
        return exits.OK if running else exits.INTERRUPTED
    finally:
        gc.enable()
        for number, handler in before.items():  # a stop of what has stopped must not spoil its end
            signal.signal(number, signal.SIG_IGN if running and ends_process else handler)


def _leave(_number: int, _frame: object) -> None:
    """End at once, and well: there is nothing yet to be put in order.

    An exception would not do: what is raised within a validator is taken for a mistake in a file.
    """
    os._exit(exits.OK)
