"""What runs when the service cannot be started as it is configured: what was good, or nothing.

Nothing here may fail for what a user, a plugin or a broken wheel can cause: after this there is no
further way to come up.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.config.places import PIPELINES, Places
from edgeapp.core.context import Log
from edgeapp.document.reader import read
from edgeapp.document.render import clean
from edgeapp.errors import ConfigError
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load_root
from edgeapp.service.control import RefusedError
from edgeapp.service.good import GoodFiles
from edgeapp.service.starts import Start

ANSWER_S = 0.2
"""After an answer the process goes on for so long: whoever asked gets it."""
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Fallback:
    """What runs instead of what is configured."""

    start: Start
    """As it came out: where nothing was kept that is good, last-good becomes safe."""
    device: DeviceConfig
    plans: tuple[Plan, ...] = ()


def fall_back(start: Start, of: Places | Path | None, log: Log) -> Fallback:
    """Find what can run; says in the log what cannot. Never raises for what is configured."""
    device = _device(of, log)
    if start.mode == "last-good":
        plans = _good_plans(of.data if isinstance(of, Places) else device.data_dir, device, log)
        if plans:
            return Fallback(start, device, plans)
        why = f"{start.why}; no pipeline was kept that was good"
        start = replace(start, mode="safe", why=why.removeprefix("; "))
    quiet = replace(device, watchdog=replace(device.watchdog, enabled=False))
    return Fallback(start, quiet)


def _device(of: Places | Path | None, log: Log) -> DeviceConfig:
    """As it is configured; where that is wrong, a device without a broker."""
    try:
        return read_device(of)
    except Exception as error:  # noqa: BLE001  whatever is wrong must not end this
        why = _why(error)
    log.error("the device file is wrong: nothing is sent anywhere", why=why)
    bare = replace(read_device(None), plugins=None)
    return replace(bare, data_dir=of.data, run_dir=of.run) if isinstance(of, Places) else bare


def _good_plans(state_dir: Path, device: DeviceConfig, log: Log) -> tuple[Plan, ...]:
    """Pipelines of which a good file was kept; each on its own: one that is wrong ends no other."""
    good = GoodFiles(state_dir)
    plans: dict[str, Plan] = {}
    for file in good.originals():
        text = good.text_of(file)
        if file.parent.name != PIPELINES or text is None:
            continue
        plan = _plan(file, text, device)
        if isinstance(plan, Plan):
            plans.setdefault(plan.name, plan)
        else:
            log.error("a pipeline that was good is not any more", file=file.name, why=plan)
    return tuple(plans.values())


def _plan(file: Path, text: bytes, device: DeviceConfig) -> Plan | str:
    """A pipeline as it was kept, or why there is none."""
    try:
        root = read(text, str(file))
        return load_root(root, file, sets=(), device=device, registry=Registry(device.plugins))
    except Exception as error:  # noqa: BLE001  whatever is wrong with one ends no other
        return _why(error)


def _why(error: Exception) -> str:
    said = repr(error)
    if isinstance(error, ConfigError):
        said = "; ".join(complaint.problem for complaint in error.complaints[:3])
    return clean(said)[:_LONGEST]


class Again:
    """Tries what is configured again, when somebody asks for a reload.

    All of it is checked; if it is right the process ends, and the service manager starts it again,
    as configured: the device file, too, is read anew then. On the event loop.
    """

    def __init__(
        self, check: Callable[[], object], settle: Callable[[], object], *, log: Log
    ) -> None:
        """Prepare.

        `check`: reads all of the configuration, and raises for what is wrong with it. `settle`:
        says that this start was healthy, so that the next one is a normal one. Both may block.
        """
        self._check = check
        self._settle = settle
        self._log = log

    async def __call__(self) -> str:
        """Check, and end the process soon.

        Raises:
            RefusedError: it is still wrong; everything goes on as it was.
        """
        try:
            await asyncio.to_thread(self._check)
            await asyncio.to_thread(self._settle)
        except Exception as error:  # noqa: BLE001  what could not be started may break in any way
            why = f"nothing was changed: {_why(error)}"
            self._log.warning("reload refused", why=why)
            raise RefusedError(why) from None
        self._log.info("the configuration is right: the service ends, to be started again with it")
        asyncio.get_running_loop().call_later(ANSWER_S, os.kill, os.getpid(), signal.SIGTERM)
        return "the configuration is right: the service is started again with it"
