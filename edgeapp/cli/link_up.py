"""The uplink of this device for `run`: to the broker it names, to an embedded one, or to none."""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeapp.cli import words
from edgeapp.cli.program import program
from edgeapp.config.device import DeviceConfig, MqttConfig
from edgeapp.core.clock import Clock
from edgeapp.core.context import Log
from edgeapp.core.plugin import watched_topics
from edgeapp.plan.graph import Plan
from edgeapp.service.uplink_facts import uplink_facts
from edgeapp.uplink.connection import Endpoint, Publication, Tls
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.outbox import Outbox
from edgeapp.uplink.run_number import next_run
from edgeapp.uplink.sender import MqttUplink, NullUplink
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import ROOT, Sealer, Topics

if TYPE_CHECKING:
    from edgeapp.cli.view import UplinkView
    from edgeapp.uplink.durable_outbox import DurableOutbox

OUTBOX = "outbox"
"""Folder of what waits for the broker, below the data directory."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The uplink, and what to tell the user about it."""

    uplink: MqttUplink | NullUplink
    clock: Clock
    endpoint: Endpoint | None
    """None: no connection is made at all."""
    hints: tuple[str, ...] = ()
    """Commands that show the messages, to be copied."""
    disk: "DurableOutbox | None" = None
    """Where messages wait on the disk; None: in memory alone."""

    def view(self) -> "UplinkView | None":
        """Its state for the live view; None where there is nothing to connect to."""
        from edgeapp.cli.uplink_words import uplink_view

        now = self.facts()
        return None if now is None else uplink_view(now)

    def facts(self) -> dict[str, Any] | None:
        """Its state as plain data."""
        if self.endpoint is None:
            return None
        return uplink_facts(
            self.uplink.statistics(),
            broker=str(self.endpoint),
            store="memory" if self.disk is None else "disk",
            now_ns=self.clock.now_ns(),
        )

    def sentence(self) -> str:
        """What became of the messages; empty where there were none to send."""
        if self.endpoint is None:
            return ""
        now = self.uplink.statistics().outbox
        said = f"{words.plural(now.settled, 'message')} sent to {self.endpoint}"
        kept = now.waiting + now.in_flight
        if kept:
            said += f", {kept:,} kept for the next start"
        dropped = {str(reason): count for reason, count in now.dropped.items()}
        if not dropped:
            return f"{said}, none dropped."
        return f"{said}, {sum(dropped.values()):,} dropped ({words.reasons(dropped)})."


@contextmanager
def link_up(
    device: DeviceConfig, plans: Sequence[Plan], *, log: Log, clock: Clock
) -> Iterator[LinkUp]:
    """Prepare the uplink; what it needs beside itself runs until the block ends.

    A broker that is named is connected to, whatever the pipelines send: it is told that the device
    is there, and gets what waits of earlier runs. For it messages wait on the disk, and outlive
    this process and the power; for an embedded one, whose own memory ends with us, in memory.

    Raises:
        Unavailable: a broker is needed, none is named, and the embedded one does not start.
    """
    wall = WallClock(clock)
    sealer = Sealer(device.device, next_run(device.data_dir, log), wall)
    if device.mqtt is None and not needs_broker(plans):
        yield LinkUp(NullUplink(sealer, MemoryOutbox(), clock), clock, None)
    elif device.mqtt is not None:
        with closing(_on_disk(device, sealer.run, wall, log=log, clock=clock)) as outbox:
            outbox.start()
            link = _to(endpoint_of(device.mqtt), device, sealer, outbox, log=log, clock=clock)
            yield replace(link, disk=outbox)
    else:
        from edgeapp.uplink.broker import embedded_broker

        with embedded_broker(log=log) as broker:
            yield _to(
                Endpoint(broker.host, broker.port_v5),
                device,
                sealer,
                MemoryOutbox(run=sealer.run, device=device.device, clock=clock, ages=wall),
                log=log,
                clock=clock,
                hints=subscribe_hints(broker.host, broker.port_v4),
            )


def needs_broker(plans: Sequence[Plan]) -> bool:
    """Whether any stage follows a topic, or hands messages to the uplink to deliver them."""
    return any(
        watched_topics(stage.options)
        or (stage.plugin.kind == "output" and not hasattr(stage.plugin.factory, "deliver"))
        for plan in plans
        for stage in plan.stages.values()
    )


def subscribe_hints(host: str, port: int) -> tuple[str, ...]:
    """Commands that show the messages from another terminal."""
    return (
        f"{program()} listen --port {port}",
        f"mosquitto_sub -h {host} -p {port} -t 'edgeapp/#' -v",
    )


def _on_disk(
    device: DeviceConfig, run: int, wall: WallClock, *, log: Log, clock: Clock
) -> "DurableOutbox":
    # sqlite3 is loaded only where it is used.
    from edgeapp.uplink.disk.journal import DiskLimits
    from edgeapp.uplink.durable_outbox import DurableOutbox

    quotas = device.outbox
    return DurableOutbox(
        device.data_dir / OUTBOX,
        run=run,
        clock=clock,
        wall=wall,
        log=log,
        device=device.device,
        limits=DiskLimits(
            quotas.critical_bytes, quotas.normal_bytes, quotas.bulk_bytes, quotas.min_free_bytes
        ),
    )


def _to(
    endpoint: Endpoint,
    device: DeviceConfig,
    sealer: Sealer,
    outbox: Outbox,
    *,
    log: Log,
    clock: Clock,
    hints: tuple[str, ...] = (),
) -> LinkUp:
    from edgeapp.uplink.mqtt.client import Connector

    topics = Topics(device.device, device.mqtt.prefix if device.mqtt else ROOT)
    connect = Connector(
        endpoint,
        client_id=f"edgeapp-{device.device}",
        will=Publication(topics.status, b"offline", retain=True),
        log=log,
        clock=clock,
    )
    uplink = MqttUplink(
        topics,
        sealer,
        outbox,
        connect,
        log=log,
        clock=clock,
        chance=random.Random(),  # noqa: S311  spreads reconnects, hides nothing
        broker=f"broker {endpoint}",
    )
    return LinkUp(uplink, clock, endpoint, hints)


def endpoint_of(mqtt: MqttConfig) -> Endpoint:
    """The broker that a device file names, with what it takes to be let in."""
    tls = Tls(mqtt.tls.ca, mqtt.tls.cert, mqtt.tls.key) if mqtt.tls else None
    return Endpoint(mqtt.host, mqtt.port, mqtt.username, mqtt.password, tls, mqtt.keepalive_s)
