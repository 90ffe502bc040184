"""The whole application as a fork with everything imported, so that it starts at once."""

import os
import sys
from importlib import import_module

from edgeapp.cli import main
from edgeapp.cli.run import one_thread_each
from tests.faults.forks import serve

one_thread_each()
for _name in (
    "aiomqtt",
    "asyncio",
    "edgeapp.cli.link_up",
    "edgeapp.cli.outcome",
    "edgeapp.cli.report",
    "edgeapp.cli.watch",
    "edgeapp.outputs.mqtt",
    "edgeapp.plan.load",
    "edgeapp.runtime.app",
    "edgeapp.service.control.server",
    "edgeapp.service.control.verbs",
    "edgeapp.sources.bearing",
    "edgeapp.transforms.features",
    "edgeapp.transforms.window",
    "edgeapp.uplink.mqtt.client",
    "sqlite3",
):
    import_module(_name)


def work(arguments: list[str], out: str) -> None:
    """Run one command line, its words going to the file `out`."""
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.exit(main(arguments))


if __name__ == "__main__":
    serve(work)
