"""The discovery message of a device, within a bound."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeapp import __version__
from edgeapp.plan.graph import Plan
from edgeapp.service.discovery.component import ONLINE, Component, Maker, title
from edgeapp.service.discovery.pipelines import (
    of_models,
    of_options,
    of_pictures,
    of_pipeline,
    of_sources,
)
from edgeapp.service.discovery.results import Names, of_outputs

MAX_BYTES = 128 * 1024
"""Of a discovery message. Most brokers take more, and Home Assistant reads it as a whole."""

Known = Mapping[tuple[str, str], Names]
"""What packets told: by pipeline and id of the output."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is said to Home Assistant."""

    payload: bytes
    components: Mapping[str, str]
    """The platform of each, by id."""
    left_out: tuple[str, ...] = ()
    """Ids of what did not fit."""


def object_id(device: str, prefix: str) -> str:
    """What tells the device from others, made of what a discovery topic may hold."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", f"{prefix}-{device}")


def discovery_topic(home_assistant: str, device: str, prefix: str) -> str:
    """Where Home Assistant looks for the device."""
    return f"{home_assistant}/device/{object_id(device, prefix)}/config"


def discover(
    device: str,
    plans: Sequence[Plan],
    *,
    prefix: str,
    commands: frozenset[str] = frozenset(),
    known: Known | None = None,
    vanished: Mapping[str, str] | None = None,
    hardware: str = "",
    max_bytes: int = MAX_BYTES,
) -> Discovery:
    """The discovery message for a device that runs these pipelines.

    `prefix`: the levels of its topics above its name. `vanished`: the platforms of components that
    are to be removed, by id. What does not fit is left out, the least important first.
    """
    make = Maker(object_id(device, prefix), f"{prefix}/{device}/", commands)
    said: dict[str, dict[str, object]] = {}
    message = {
        "dev": {
            "ids": [make.object_id],
            "name": title(device),
            "mf": "edgeapp",
            "mdl": "edgeapp device",
            "sw": __version__,
            **({"hw": hardware} if hardware else {}),
        },
        "o": {"name": "edgeapp", "sw": __version__},
        "availability": [{"topic": make.status, "value_template": ONLINE}],
        "cmps": said,
    }
    left_bytes = max_bytes - len(_json(message))
    chosen: dict[str, str] = {}
    left_out: list[str] = []
    made = list(_components(make, plans, known or {}))
    new = {component.id for component in made}
    gone = [Component(id_, p, {}) for id_, p in (vanished or {}).items() if id_ not in new]
    for component in (*gone, *made):
        config = component.said()
        needs = len(_json({component.id: config}))
        if needs > left_bytes:
            left_out.append(component.id)
            continue
        left_bytes -= needs
        said[component.id] = config
        if component.config:
            chosen[component.id] = component.platform
    return Discovery(_json(message), chosen, tuple(left_out))


def _components(make: Maker, plans: Iterable[Plan], known: Known) -> Iterator[Component]:
    """All components, the most important first."""
    yield from _of_device(make)
    plans = tuple(plans)
    for plan in plans:
        yield from of_pipeline(make, plan)
    for plan in plans:
        names = {stage: told for (name, stage), told in known.items() if name == plan.name}
        yield from of_outputs(make, plan, names)
    for steered in (of_sources, of_models, of_pictures, of_options):
        for plan in plans:
            yield from steered(make, plan)


def _of_device(make: Maker) -> Iterator[Component]:
    yield make.make(
        "binary_sensor",
        ("connection",),
        "Connection",
        state_topic=make.status,
        value_template="{{ 'ON' if value == 'online' else 'OFF' }}",
        device_class="connectivity",
        entity_category="diagnostic",
        # There also while the device is not: that is what it says.
        availability=[{"topic": make.status, "value_template": "{{ 'online' }}"}],
    )
    health = make.topic("health")
    yield make.make(
        "binary_sensor",
        ("health",),
        "Health",
        state_topic=health,
        value_template="{{ 'ON' if value_json.health in ['ill', 'safe'] else 'OFF' }}",
        device_class="problem",
        json_attributes_topic=health,
        json_attributes_template=(
            "{{ {'health': value_json.health, 'why': value_json.why} | tojson }}"
        ),
        entity_category="diagnostic",
    )
    outbox = make.topic("outbox")
    yield make.make(
        "binary_sensor",
        ("outbox",),
        "Message store",
        state_topic=outbox,
        value_template="{{ 'ON' if value_json.problem else 'OFF' }}",
        device_class="problem",
        json_attributes_topic=outbox,
        json_attributes_template=(
            "{{ {'store': value_json.store, 'problem': value_json.problem} | tojson }}"
        ),
        entity_category="diagnostic",
    )
    yield make.make(
        "sensor",
        ("dead",),
        "Refused messages",
        state_topic=outbox,
        value_template="{{ value_json.dead }}",
        state_class="measurement",
        entity_category="diagnostic",
    )
    if "reload" in make.commands:
        yield make.make(
            "button",
            ("reload",),
            "Reload",
            command_topic=make.topic("set"),
            payload_press="reload",
            entity_category="config",
        )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
