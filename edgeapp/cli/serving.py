"""What a service keeps of its start: for the guard, and for a start after one that went wrong."""

import asyncio
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.config.places import Places, state_dir
from edgeapp.service.starts.good import GoodFiles

if TYPE_CHECKING:
    from edgeapp.config.device import DeviceConfig
    from edgeapp.runtime.app import App
    from edgeapp.service.reloading.reload import Reload
    from edgeapp.service.starts.healthy import Healthy
    from edgeapp.service.starts.start import Start


def texts_of(device: Path | Places | None) -> Mapping[Path, bytes]:
    """What an installation says of the device: to be kept once all is well with it.

    Raises:
        ConfigError: one of its files cannot be read.
    """
    if not isinstance(device, Places):
        return {}
    from edgeapp.service.starts.fallback import device_texts  # only a service falls back

    return device_texts(device)


def good_files(device: Path | Places | None, config: "DeviceConfig") -> GoodFiles:
    """Where good files are kept."""
    return GoodFiles(state_dir(device, config.data_dir))


def healthy_of(
    start: "Start",
    device: Path | Places | None,
    config: "DeviceConfig",
    app: "App",
    *,
    texts: Mapping[Path, bytes],
    reload: "Reload",
) -> "Healthy":
    """Says when this start is healthy, where the guard looks.

    What it was healthy with is kept first: files of pipelines, and `texts`, those of the device.
    """
    from edgeapp.service.starts.fallback import keep_device_texts
    from edgeapp.service.starts.healthy import Healthy

    clock, log = app.kit.clock, app.kit.log
    end = partial(os.kill, os.getpid(), signal.SIGTERM)
    good = good_files(device, config)

    async def keep() -> None:
        await reload.look()
        if isinstance(device, Places):
            await asyncio.to_thread(keep_device_texts, good, device, texts)

    data_dir = state_dir(device, config.data_dir)
    return Healthy(start, data_dir, app.status, clock=clock, log=log, keep=keep, end=end)
