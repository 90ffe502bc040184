"""What runs beside the pipelines of `edgeapp run`; the end of one of these ends no other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from edgeapp.cli.link_up import LinkUp
from edgeapp.config.device import DeviceConfig, MqttConfig
from edgeapp.config.metrics import MetricsConfig
from edgeapp.runtime.app import App
from edgeapp.runtime.supervise import keep_up
from edgeapp.service.monitoring.health import Health
from edgeapp.service.monitoring.health_told import HealthTold
from edgeapp.service.starts.start import Start
from edgeapp.service.states import States
from edgeapp.service.systemd.notify import Notifier
from edgeapp.uplink.notices import Notice
from edgeapp.uplink.wire import ROOT, Topics

Facts = Callable[[], Mapping[str, Any] | None]
Works = dict[str, Callable[[], Awaitable[None]]]
"""What runs beside, by name; called again where it crashed."""

if TYPE_CHECKING:
    from edgeapp.cli.watch import Watch
    from edgeapp.service.control.verbs import Verbs
    from edgeapp.service.reloading.file_watch import FileWatch
    from edgeapp.service.reloading.reload import Reload
    from edgeapp.service.starts.healthy import Healthy


class Beside:
    """What runs beside the pipelines: the view, the control socket, and what MQTT says and asks."""

    def __init__(
        self,
        app: App,
        link: LinkUp,
        device: DeviceConfig,
        watch: "Watch | None",
        reload: Callable[[], Awaitable[object]] | None,
        *,
        notifier: Notifier,
        healthy: "Healthy | None" = None,
        start: Start | None = None,
        files: "Reload | None" = None,
        file_watch: "FileWatch | None" = None,
    ) -> None:
        """Prepare; `healthy` says when this start is, and `start` how it came about.

        `files`: `reload`, where that judges what it started; `file_watch`: calls it by itself.
        """
        self._link = link
        self._device = device
        self._watch = watch
        self._reload = reload
        self._notifier = notifier
        self._below = _below(device)
        self._healthy = healthy
        self._start = start or Start()
        fallen_back = self._start.mode == "last-good"
        self._health = Health(
            app,
            safe=self._start.why if self._start.mode == "safe" else "",
            note=self._start.sentence() if fallen_back else "",
        )
        self._files = files
        self._file_watch = file_watch
        self._states = None
        if link.endpoint is not None:
            self._states = _states(app, link, device, self._health, files)

    async def __call__(self, app: App) -> None:
        """Until cancelled."""
        from edgeapp.cli import words
        from edgeapp.cli.hangup import reload_on_hangup
        from edgeapp.service.control.server import control_socket
        from edgeapp.service.control.verbs import Verbs

        device, log = self._device, app.kit.log
        disk = self._link.disk
        watchdog = None
        works: Works = {}
        if device.watchdog.enabled:
            from edgeapp.service.governing.watchdog import Watchdog

            hold = None if self._states is None else self._link.uplink.hold
            watchdog = Watchdog(app, device, hold=hold)
            works["watchdog"] = watchdog.run
        elif device.mqtt is not None:
            for topic in ("governor/state", "governor/signals"):  # of a run before this one
                self._link.uplink.let_go(f"{self._below}{topic}")

        def governor() -> Mapping[str, Any] | None:
            return None if watchdog is None else watchdog.facts()

        if self._watch is not None:
            works["view"] = partial(self._watch, app, governor)
        works |= self._for_systemd(app, governor)
        verbs = Verbs(
            app,
            device=device.device,
            say=words.result,
            reload=None if self._reload is None else self._told_reload,
            uplink=self._link.facts,
            purge=None if disk is None else disk.purge,
            governor=governor,
            health=self._health.facts,
            start=self._start,
            config=None if self._files is None else self._files.facts,
        )
        works |= self._for_files()
        if self._states is None:
            works["health"] = self._health.run
        else:
            works["states"] = self._states.run
        if device.metrics is not None:
            works["metrics"] = partial(self._metrics, app, governor, device.metrics)
        if device.mqtt is not None:
            works |= self._on_mqtt(app, verbs, device.mqtt)
        with ExitStack() as stack:
            if self._reload is not None:
                stack.enter_context(reload_on_hangup(self._told_reload, log))
            async with control_socket(device.run_dir or device.data_dir, verbs.table(), log):
                await asyncio.gather(*(_kept_up(what, work, app) for what, work in works.items()))

    def _for_files(self) -> Works:
        """Who looks after the pipeline files."""
        works: Works = {}
        if self._files is not None:
            works["files"] = self._files.run
        if self._file_watch is not None:
            works["file watch"] = self._file_watch.run
        return works

    def _for_systemd(self, app: App, governor: Facts) -> Works:
        """What the service manager, and the guard before the next start, are told."""
        works: Works = {}
        if self._healthy is not None:
            works["healthy"] = self._healthy.run
        if self._notifier.heard:
            from edgeapp.cli.status_sentence import StatusSentence
            from edgeapp.service.systemd.heartbeat import Heartbeat

            said = StatusSentence(app, governor, self._link.facts, first=self._start.sentence())
            works["heartbeat"] = Heartbeat(app, self._notifier, said).run
        return works

    def _metrics(self, app: App, governor: Facts, config: MetricsConfig) -> Awaitable[None]:
        """What monitoring may ask for, within the device."""
        from edgeapp.service.monitoring.endpoints import Monitoring

        monitoring = Monitoring(
            app,
            self._health,
            uplink=self._link.facts,
            governor=governor,
            data_dir=self._device.data_dir,
        )
        return monitoring.run(config)

    def _on_mqtt(self, app: App, verbs: "Verbs", mqtt: MqttConfig) -> Works:
        """What a broker is needed for."""
        from edgeapp.service.control.commands import Commands
        from edgeapp.service.discovery.announce import announce

        commands = Commands(
            app,
            verbs,
            self._link.uplink,
            below=self._below,
            allowed=mqtt.commands,
            home_assistant=mqtt.home_assistant or "homeassistant",
        )
        announcing = partial(announce, app, self._link.uplink, self._device)
        return {"commands": commands.run, "discovery": announcing}

    async def _told_reload(self) -> object:
        """Reload; the service manager is told that it is being done, and that it was."""
        assert self._reload is not None, "asked for only where there is one"
        with self._notifier.reloading():
            return await self._reload()

    async def uplink(self, drained: asyncio.Event) -> None:
        """Run the uplink; what has become of the pipelines is the last that it hears."""
        settled = asyncio.Event()
        running = asyncio.ensure_future(self._link.uplink.run(settled))
        ending = asyncio.ensure_future(drained.wait())
        try:
            await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
            if self._states is not None:
                self._states.look()
        finally:
            ending.cancel()
            settled.set()
            await running


async def _kept_up(what: str, work: Callable[[], Awaitable[None]], app: App) -> None:
    """If one of what runs beside crashes it comes back after a while, and the others go on."""
    await keep_up(what, lambda _: work(), asyncio.Event(), app.kit)


def _below(device: DeviceConfig) -> str:
    """What the topics of this device begin with."""
    return Topics(device.device, device.mqtt.prefix if device.mqtt else ROOT).below


def _states(
    app: App, link: LinkUp, device: DeviceConfig, health: Health, files: "Reload | None"
) -> States:
    told = HealthTold(health, app.kit.clock)

    def more() -> Iterator[tuple[str, Notice]]:
        yield from told.notices()
        if files is not None:
            yield "config", files.notice()

    return States(
        app,
        link.uplink,
        below=_below(device),
        outbox=lambda: link.uplink.statistics().outbox,
        store="memory" if device.mqtt is None else "disk",
        more=more,
    )
