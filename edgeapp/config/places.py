"""Where an installation keeps its things: the device's own folders, or those of a person."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DEVICE_FILE = "edgeapp.yaml"
CONF_D = "conf.d"
PIPELINES = "pipelines"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one installation. Not all of them need be there."""

    config: Path
    """Holds the device file, `conf.d` and `pipelines`."""
    data: Path
    """What outlives a restart."""
    run: Path | None
    """What goes with the process: the control socket; None: it is in `data`."""

    @property
    def device_file(self) -> Path:
        """What belongs to the device and not to a pipeline."""
        return self.config / DEVICE_FILE

    @property
    def pipelines(self) -> Path:
        """The pipelines that `edgeapp run` without a file runs, one in each `*.yaml`."""
        return self.config / PIPELINES


SYSTEM = Places(Path("/etc/edgeapp"), Path("/var/lib/edgeapp"), Path("/run/edgeapp"))
"""As `deploy/install.sh` makes them."""


def places(environment: Mapping[str, str] | None = None, *, root: bool | None = None) -> Places:
    """Those of this process: what systemd gave it, else the device's for root, else a person's.

    A person's are where the XDG base directory specification puts them; who has no home, as a
    user that systemd made up, is no person.
    """
    environment = os.environ if environment is None else environment
    usual = SYSTEM
    if os.geteuid() != 0 if root is None else not root:
        with suppress(RuntimeError):  # no home
            usual = _of_person(environment)
    return Places(
        _given("CONFIGURATION_DIRECTORY", environment) or usual.config,
        _given("STATE_DIRECTORY", environment) or usual.data,
        _given("RUNTIME_DIRECTORY", environment) or usual.run,
    )


def pipelines_dir(of: Places | Path) -> Path:
    """Where the pipelines are that run without being named: beside a device file, too."""
    return of.pipelines if isinstance(of, Places) else of.parent / PIPELINES


def state_dir(of: Places | Path | None, data_dir: Path) -> Path:
    """Where the guard and the next start look: in an installation, whatever `data_dir` it sets."""
    return of.data if isinstance(of, Places) else data_dir


def _given(name: str, environment: Mapping[str, str]) -> Path | None:
    """What systemd made for us; where it made several, the first."""
    first = environment.get(name, "").partition(":")[0]
    return Path(first) if first else None


def _of_person(environment: Mapping[str, str]) -> Places:
    def base(name: str, usual: str) -> Path:
        return Path(environment.get(name) or usual).expanduser() / "edgeapp"

    run = environment.get("XDG_RUNTIME_DIR")
    return Places(
        base("XDG_CONFIG_HOME", "~/.config"),
        base("XDG_STATE_HOME", "~/.local/state"),
        Path(run) / "edgeapp" if run else None,
    )
