"""install.sh killed at any instant: what is there starts, and the next run puts everything right."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.box import Box, new_box
from tests.servers.small_versions import small_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

INSTANTS = 50
MENDED = 3
"""Every so many kills nothing follows but a run that ends; before that, what is left is killed again."""
SYSTEMCTL = Path(__file__).resolve().parents[1] / "servers/small_systemctl.sh"

# As after a power cut: nothing of ours runs, and what is enabled is started.
BOOT = """
systemctl stop
[ ! -e /opt/edgeapp/current ] || /opt/edgeapp/current/bin/edgeapp --version
[ ! -e /opt/edgeapp/guard ] || /opt/edgeapp/guard
if systemctl is-enabled; then
    systemctl restart
    for i in $(seq 1200); do
        grep -q "$(sed -n 's/.*_ID=//p' /run/edgeapp-guard/start.env)" /var/lib/edgeapp/healthy && exit
        sleep 0.05
    done
    cat /run/small-systemd/journal
    exit 1
fi
"""
VERSION = "/usr/local/bin/edgeapp --version"
LEFT = (
    "find /opt/edgeapp /etc/edgeapp /etc/systemd/system /usr/local -name '.*' ! -name .lock"
    " -o -name '*.tmp'; ls -A /opt/edgeapp"
)


class Killer:
    """Kills a command at instants that are spread over how long it takes."""

    def __init__(self, box: Box, seed: int) -> None:
        self.box = box
        self._random = random.Random(seed)
        self.killed = 0
        self.takes_s = 0.0

    def whole(self, *command: str | Path) -> None:
        """Let it end by itself; the next kill is spread over how long it takes."""
        begun = time.monotonic()
        done = self.box.run(*command)
        self.takes_s = time.monotonic() - begun
        assert done.returncode == 0, done.stdout + done.stderr

    def kill(self, *command: str | Path) -> None:
        """Start it, and kill it and all that it started at some instant of its time."""
        process = self.box.start(*command)
        try:
            process.communicate(timeout=self.takes_s * self._random.random())
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self.killed += 1

    def attempts(self) -> Iterator[int]:
        """Numbers, until enough were killed: one may end earlier than the one that was measured."""
        for attempt in range(3 * INSTANTS):
            if self.killed == INSTANTS:
                return
            yield attempt
        pytest.fail(f"only {self.killed} of {3 * INSTANTS} were killed within {self.takes_s:.1f} s")


@pytest.fixture
def box() -> Iterator[Box]:
    """A machine with a small systemctl."""
    with new_box() as box:
        box.sh(f"mkdir -p /run/systemd/system; cp {SYSTEMCTL} /usr/local/sbin/systemctl")
        yield box


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions that are well."""
    folder = tmp_path_factory.mktemp("bundles")
    return [small_bundle(folder / version, version) for version in ("1.0", "2.0")]


def test_the_first_installation(box: Box, bundles: list[Path]) -> None:
    """Whatever is enabled can start; once more, and all is there."""
    script = bundles[0] / "install.sh"
    killer = Killer(box, seed=1)
    killer.whole(script)
    for attempt in killer.attempts():
        box.sh(f"{script} --uninstall --purge")
        killer.kill(script)
        assert box.sh(BOOT) in {"", "1.0\n"}
        if attempt % MENDED == MENDED - 1:
            killer.whole(script)
            assert box.sh(VERSION) == "1.0\n"
            assert box.sh(LEFT).split() == [".lock", "current", "guard", "state", "versions"]


def test_an_upgrade(box: Box, bundles: list[Path]) -> None:
    """The old version starts or the new one; once more, and it is the new one."""
    killer = Killer(box, seed=2)
    for bundle in bundles:
        killer.whole(bundle / "install.sh")
    for attempt in killer.attempts():
        script = bundles[attempt // MENDED % 2] / "install.sh"
        killer.kill(script, "--downgrade")
        assert box.sh(BOOT) in {"1.0\n", "2.0\n"}
        if attempt % MENDED == MENDED - 1:
            killer.whole(script, "--downgrade")
            assert box.sh(VERSION) == ("1.0\n", "2.0\n")[attempt // MENDED % 2]
            assert box.sh(LEFT).split() == [".lock", "current", "guard", "state", "versions"]
            assert box.sh("ls -A /opt/edgeapp/versions").split() == ["1.0", "2.0"]
            assert box.sh("ls /opt/edgeapp/state").split() == ["installed", "previous"]
