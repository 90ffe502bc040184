"""`edgeapp top`: what runs on this device, live, with keys to steer it."""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device

if TYPE_CHECKING:
    from collections.abc import Mapping


def top(*, device: Device = None) -> int:
    """Show what runs on this device, and how it changes, until q.

    Args:
        device: The device file that the running process was given.
    """
    if find_spec("textual") is None:
        problem = "this needs textual, which is not installed: pip install 'edgeapp[top]'"
        raise exits.Quit(exits.UNAVAILABLE, problem)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise exits.Quit(
            exits.USAGE, "this needs a terminal; 'edgeapp status' prints the same once"
        )
    from edgeapp.cli.asking import answer
    from edgeapp.cli.top_app import TopApp

    answer(device, "status", window_s=0.0)  # what is wrong is said here, before the screen is taken

    def ask(verb: str, arguments: "Mapping[str, object]") -> dict[str, Any]:
        return answer(device, verb, **arguments).facts

    TopApp(ask).run()
    return exits.OK
