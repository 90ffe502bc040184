"""A device as people have it: installed by `install.sh` on a booted machine, its broker outside."""

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.servers.mosquitto import Listener, Mosquitto, wait_until
from tests.servers.systemd import Machine

UNIT = "edgeapp.service"
NAME = "line-3"
PORT = 1883
PIPELINES = "/etc/edgeapp/pipelines"
DATA = "/var/lib/edgeapp"
BUNDLE = "/srv/bundle"
FIRST = "/srv/first"
"""The bundle that was installed first, also after others were carried to the device."""
START_PATIENCE_S = 90.0
MQTT = """\
device: {name}
mqtt: {{host: {host}, port: {port}, commands: [reload]}}
"""


class Device:
    """The machine under test, and what a person does with it and sees of it."""

    def __init__(self, machine: Machine, broker: Mosquitto, listener: Listener) -> None:
        """Of a machine that runs."""
        self.machine = machine
        self.broker = broker
        self.listener = listener
        self.timings: dict[str, float] = {}

    # -- installing -------------------------------------------------------------------------

    def configure(self, pipelines: Mapping[str, str]) -> Self:
        """Write the broker and these pipelines into /etc/edgeapp, and no others."""
        mqtt = MQTT.format(name=NAME, host=self.machine.outside, port=PORT)
        self.write("/etc/edgeapp/conf.d/10-broker.yaml", mqtt)
        self.machine.run(f"rm -f {PIPELINES}/*.yaml")
        for name, text in pipelines.items():
            self.write(f"{PIPELINES}/{name}.yaml", text)
        return self

    def write(self, path: str, text: str) -> None:
        """Write a file that the service may read."""
        self.machine.write(path, text, mode="0644")

    def install(
        self, *words: str, bundle: Path | None = None, folder: str = BUNDLE, expect: int = 0
    ) -> str:
        """Run `install.sh` of the bundle that was carried here, or of another; what it said."""
        if bundle is not None:
            self.carry(bundle)
        command = shlex.join([f"{folder}/install.sh", *words])
        began_s = time.monotonic()
        said = self.machine.run(command, expect=expect, limit_s=600)
        self.timings["install.sh"] = time.monotonic() - began_s
        return said

    def carry(self, bundle: Path) -> None:
        """Put another bundle in the place of the one that is there."""
        self.machine.run(f"rm -rf {BUNDLE}")
        self.machine.copy_in(bundle, BUNDLE)

    @property
    def version(self) -> str:
        """The one that is started."""
        return self.machine.run("readlink /opt/edgeapp/current").strip().rpartition("/")[2]

    @contextmanager
    def pipelines(self, pipelines: Mapping[str, str]) -> Iterator[None]:
        """Run these within the block, and after it those from before."""
        self.machine.run(f"rm -rf /srv/kept; mkdir /srv/kept; cp -a {PIPELINES}/*.yaml /srv/kept")
        try:
            self.configure(pipelines).start()
            yield
        finally:
            self.machine.run(f"rm -f {PIPELINES}/*.yaml; cp -a /srv/kept/*.yaml {PIPELINES}")
            self.start()

    # -- the service ------------------------------------------------------------------------

    def start(self) -> float:
        """Start it anew, whatever it did; how long until READY, in seconds."""
        machine = self.machine
        machine.systemctl("stop", UNIT)
        machine.systemctl("reset-failed", UNIT)
        self.forgive()
        began_s = time.monotonic()
        machine.systemctl("start", UNIT)
        return time.monotonic() - began_s

    def forgive(self) -> None:
        """Let the guard not count what went before."""
        self.machine.run("rm -f /run/edgeapp-guard/starts")

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.machine.show(UNIT, name)

    def is_up(self) -> bool:
        """READY came, of the process that runs now."""
        return self.show("ActiveState") == "active" and self.show("SubState") == "running"

    def wait_up(self, *, not_pid: str = "") -> None:
        """Wait until it is up; `not_pid`: as another process than this."""
        wait_until(
            lambda: self.is_up() and self.show("MainPID") != not_pid,
            "the service is up",
            patience_s=START_PATIENCE_S,
        )

    def logged(self, since: str = "", **fields: str) -> list[dict[str, Any]]:
        """Entries of the journal with these fields, after the one of this cursor."""
        words = [f"--after-cursor={since}"] if since else []
        # Not given to journalctl: with both it leaves out the first that fits.
        entries = self.machine.journal(UNIT, *words)
        return [entry for entry in entries if fields.items() <= entry.items()]

    def cursor(self) -> str:
        """Where the journal ends now."""
        said = self.machine.run("journalctl --sync; journalctl --show-cursor --lines=0 --quiet")
        return said.strip().rpartition("-- cursor: ")[2]

    def text(self, since: str = "") -> str:
        """The messages of the journal."""
        return "\n".join(str(entry.get("MESSAGE", "")) for entry in self.logged(since))

    def wait_logged(self, words: str, since: str = "", *, patience_s: float = 60.0) -> None:
        """Wait until these words are in the journal."""
        wait_until(lambda: words in self.text(since), f"'{words}' logged", patience_s=patience_s)

    # -- what came --------------------------------------------------------------------------

    def told(self, topic: str, *, name: str = NAME) -> list[dict[str, Any]]:
        """What came to a topic of this device, from its first message on."""
        payloads = self.listener.payloads(f"edgeapp/{name}/{topic}")
        return [json.loads(payload) for payload in payloads if payload.startswith("{")]

    def wait_told(
        self,
        topic: str,
        true: Callable[[dict[str, Any]], object] = bool,
        *,
        after: int = 0,
        name: str = NAME,
    ) -> dict[str, Any]:
        """Wait for a message beyond the first `after` of a topic of which something is true."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [message for message in self.told(topic, name=name)[after:] if true(message)]
            return bool(found)

        wait_until(there, f"a message on {topic}", patience_s=START_PATIENCE_S)
        return found[0]
