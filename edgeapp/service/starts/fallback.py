"""What runs when the service cannot be started as it is configured: what was good, or nothing.

Nothing here may fail for what a user, a plugin or a broken wheel can cause: after this there is no
further way to come up.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.config.layers import device_files
from edgeapp.config.places import CONF_D, PIPELINES, Places
from edgeapp.core.context import Log
from edgeapp.document.reader import read, read_bytes
from edgeapp.document.render import clean
from edgeapp.errors import ConfigError
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load_root
from edgeapp.service.control.server import RefusedError
from edgeapp.service.starts.good import GoodFiles
from edgeapp.service.starts.start import Start

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
    good = GoodFiles(of.data) if isinstance(of, Places) else None
    device = _device(of, good, log, prefer_good=start.mode == "last-good")
    if start.mode == "last-good":
        plans = _good_plans(good or GoodFiles(device.data_dir), device, log)
        if plans:
            return Fallback(start, device, plans)
        why = f"{start.why}; no pipeline was kept that was good"
        start = replace(start, mode="safe", why=why.removeprefix("; "))
    quiet = replace(device, watchdog=replace(device.watchdog, enabled=False))
    return Fallback(start, quiet)


def _device(
    of: Places | Path | None, good: GoodFiles | None, log: Log, *, prefer_good: bool
) -> DeviceConfig:
    """As it was when all was well, or as it is configured; else a device without a broker."""
    kept = _good_device_files(of, good) if isinstance(of, Places) and good is not None else {}
    for texts in (kept, None) if prefer_good else (None, kept):
        if texts == {}:
            continue
        try:
            return read_device(of, texts=texts)
        except Exception as error:  # noqa: BLE001  whatever is wrong must not end this
            why = _why(error)
        which = "as it is there" if texts is None else "that was good last"
        log.error("the device configuration is wrong", which=which, why=why)
    log.error("nothing is sent anywhere: there is no device configuration")
    bare = replace(read_device(None, environment={}), plugins=None)
    return replace(bare, data_dir=of.data, run_dir=of.run) if isinstance(of, Places) else bare


def device_texts(of: Places) -> dict[Path, bytes]:
    """What the device file and those beside it hold now.

    Raises:
        ConfigError: one of them cannot be read.
    """
    return {file.absolute(): read_bytes(file) for file in device_files(of)}


def keep_device_texts(good: GoodFiles, of: Places, texts: Mapping[Path, bytes]) -> None:
    """Keep the device file and those beside it as good, and no others that were kept of them.

    Raises:
        OSError: they cannot be written.
    """
    for file in _good_device_files(of, good).keys() - texts.keys():
        good.forget(file)
    for file, text in texts.items():
        good.keep(file, text)


def _good_device_files(of: Places, good: GoodFiles) -> dict[Path, bytes]:
    """What was kept of the device file and of those beside it, in the order in which they count."""
    folder = of.config.absolute()
    files = [file for file in good.originals() if file.parent == folder / CONF_D]
    kept = {file: good.text_of(file) for file in (of.device_file.absolute(), *files)}
    return {file: text for file, text in kept.items() if text is not None}


def _good_plans(good: GoodFiles, device: DeviceConfig, log: Log) -> tuple[Plan, ...]:
    """Pipelines of which a good file was kept; each on its own: one that is wrong ends no other."""
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
