"""One component of the device, and the templates that read its state out of our messages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

Config: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Component:
    """One entity of Home Assistant."""

    id: str
    """Stable, and none other's on this device."""
    platform: str
    config: Config

    def said(self) -> dict[str, Any]:
        """As it stands under `cmps`."""
        return {"p": self.platform, **self.config}


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the components of one device."""

    object_id: str
    """The device's, which begins the unique id of each of its components."""
    below: str
    """The device's topics, with a slash at the end."""
    commands: frozenset[str] = frozenset()
    """What may be done over MQTT."""

    def make(self, platform: str, where: tuple[str, ...], name: str, **config: Any) -> Component:
        """A component. `where` tells it from all others: pipeline, stage, and what it is of it."""
        # Names of pipelines and stages hold no dot; of labels and features anything may come.
        id_ = ".".join(quote(level, safe="") for level in where)
        known = {key: value for key, value in config.items() if value is not None}
        unique_id = f"{self.object_id}.{id_}"
        return Component(id_, platform, {"unique_id": unique_id, "name": name, **known})

    def topic(self, *levels: str) -> str:
        """A topic in full."""
        return self.below + "/".join(levels)

    @property
    def status(self) -> str:
        """The topic that says whether the device is there."""
        return self.topic("status")

    def available(self, pipeline: str) -> Config:
        """The keys by which a component is there only while its pipeline runs."""
        running = "{{ 'online' if value_json.state == 'running' else 'offline' }}"
        return {
            "availability": [
                {"topic": self.status, "value_template": ONLINE},
                {"topic": self.topic(pipeline, "state"), "value_template": running},
            ],
            "availability_mode": "all",
        }


ONLINE = "{{ 'online' if value == 'online' else 'offline' }}"
"""Of the device's status: `stopped` and `offline` both mean that it is not there."""


def title(*names: str) -> str:
    """Names as people read them: ("porch-cam", "count") is "Porch cam count"."""
    text = " ".join(names).replace("_", " ").replace("-", " ")
    return text[:1].upper() + text[1:]


def text(value: str) -> str:
    """A text within a template. Jinja reads what JSON writes, but for pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False)
