"""What Home Assistant documents of MQTT device discovery, as a table to check payloads against.

Read on the documentation's pages, in the repository home-assistant/home-assistant.io:

- source/_integrations/mqtt.markdown, commit 0a314403: «Discovery topic» (its characters), «Device
  discovery payload» (`dev` and `o` are mandatory, `cmps` holds the components, each with `p`; entity
  components need a `unique_id`; shared options are availability, command_topic, state_topic, qos and
  encoding; a component of `p` alone is removed, and left out in the update after that; an empty
  retained payload removes the device), «Supported abbreviations», «Using Availability topics»,
  «Use the Birth and Will messages to trigger discovery».
- source/_integrations/<platform>.mqtt.markdown: sensor (9e4a69ab), binary_sensor (fbc3a3b3), button
  (d7225566), event (172bcca0), image (23472596), number (ebecc7e8), select (23472596), switch
  (53821638): the tables of configuration variables.
- source/_includes/integrations/using_templates.md: `value`, `value_json` and `this` in templates.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

TOPIC = re.compile(r"[^/+#]+(/[^/+#]+)*/device/[a-zA-Z0-9_-]+/config")
DEVICE = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model",
    "model_id", "name", "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip
DEVICE_SHORT = {
    "cu": "configuration_url", "cns": "connections", "ids": "identifiers", "name": "name",
    "mf": "manufacturer", "mdl": "model", "mdl_id": "model_id", "hw": "hw_version",
    "sw": "sw_version", "sa": "suggested_area", "sn": "serial_number",
}  # fmt: skip
ORIGIN = {"name", "sw_version", "support_url"}
ORIGIN_SHORT = {"name": "name", "sw": "sw_version", "url": "support_url"}
SHORT = {"dev": "device", "o": "origin", "cmps": "components", "p": "platform"}
ROOT = {
    "device", "origin", "components", "availability", "availability_mode", "availability_topic",
    "availability_template", "payload_available", "payload_not_available", "state_topic",
    "command_topic", "qos", "encoding",
}  # fmt: skip
AVAILABILITY = {"topic", "value_template", "payload_available", "payload_not_available"}

_ANY = {
    "availability": list, "availability_mode": str, "availability_template": str,
    "availability_topic": str, "device": dict, "enabled_by_default": bool, "encoding": str,
    "entity_category": str, "entity_picture": str, "icon": str, "json_attributes_template": str,
    "json_attributes_topic": str, "name": str, "object_id": str, "platform": str, "qos": int,
    "unique_id": str,
}  # fmt: skip
_CLASS = {"device_class": str}
_STATE = {"state_topic": str, "value_template": str}
_COMMAND = {"command_topic": str, "command_template": str, "retain": bool}
_SENSOR = {"expire_after": int, "force_update": bool}
_PAYLOADS = {"payload_off": str, "payload_on": str}

KEYS: dict[str, dict[str, Any]] = {
    "sensor": _ANY | _CLASS | _STATE | _SENSOR | {
        "last_reset_value_template": str, "options": list, "state_class": str,
        "suggested_display_precision": int, "unit_of_measurement": str,
    },
    "binary_sensor": _ANY | _CLASS | _STATE | _SENSOR | _PAYLOADS | {"off_delay": int},
    "button": _ANY | _CLASS | _COMMAND | {"payload_press": str},
    "event": _ANY | _CLASS | _STATE | {"event_types": list},
    "image": _ANY | {
        "content_type": str, "image_encoding": str, "image_topic": str, "url_template": str,
        "url_topic": str,
    },
    "number": _ANY | _CLASS | _STATE | _COMMAND | {
        "min": (int, float), "max": (int, float), "step": (int, float), "mode": str,
        "optimistic": bool, "payload_reset": str, "unit_of_measurement": str,
    },
    "select": _ANY | _STATE | _COMMAND | {"options": list, "optimistic": bool},
    "switch": _ANY | _CLASS | _STATE | _COMMAND | _PAYLOADS | {
        "optimistic": bool, "state_off": str, "state_on": str,
    },
}  # fmt: skip
"""The documented configuration variables of each platform that we use, and their types."""

REQUIRED = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "button": {"command_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},  # or url_topic
    "number": {"command_topic"},
    "select": {"command_topic", "options"},
    "switch": {"command_topic"},
}

# Of the pages on the entities: integrations/sensor, binary_sensor, and developers' docs on both.
CLASSES = {
    "sensor": {"enum", "distance"},
    "binary_sensor": {"connectivity", "problem", "running"},
}
UNITS = {"distance": {"km", "m", "cm", "mm", "mi", "nmi", "yd", "in"}}
SMALLEST_STEP = 0.001


def mistakes(topic: str, payload: bytes) -> Iterator[str]:
    """What of a discovery message is not as it is documented."""
    if not TOPIC.fullmatch(topic):
        yield f"topic {topic}"
    message = _long(json.loads(payload), SHORT)
    yield from _unknown("root", message, ROOT)
    for key in ("device", "origin", "components"):
        if not isinstance(message.get(key), dict):
            yield f"{key} is missing"
            return
    device = _long(message["device"], DEVICE_SHORT)
    yield from _unknown("device", device, DEVICE)
    if not (device.get("identifiers") or device.get("connections")):
        yield "the device has no identifier"
    if not all(isinstance(device.get(key, ""), str) for key in DEVICE - {"identifiers"}):
        yield "the device is described by more than text"
    origin = _long(message["origin"], ORIGIN_SHORT)
    yield from _unknown("origin", origin, ORIGIN)
    if not origin.get("name"):
        yield "the origin has no name"
    yield from _availability("root", message)
    seen: set[str] = set()
    for id_, short in message["components"].items():
        component = _long(short, SHORT)
        yield from _component(id_, component)
        unique_id = component.get("unique_id")
        if unique_id is not None and unique_id in seen:
            yield f"{id_}: unique_id {unique_id} is not unique"
        seen.add(str(unique_id))


def _component(id_: str, component: dict[str, Any]) -> Iterator[str]:
    platform = component.get("platform")
    if " " in id_:
        yield f"{id_!r}: Home Assistant splits its discovery ids at spaces"
    if platform not in KEYS:
        yield f"{id_}: platform {platform}"
        return
    if component.keys() == {"platform"}:
        return  # this is how one is removed
    keys = KEYS[platform]
    yield from _unknown(id_, component, keys.keys())
    for key in {"unique_id", *REQUIRED[platform]} - component.keys():
        yield f"{id_}: {key} is missing"
    for key, value in component.items():
        wanted = keys.get(key, object)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            yield f"{id_}: {key} is {value!r}"
        if key.endswith("_topic") and not _is_topic(value):
            yield f"{id_}: {key} is no topic: {value!r}"
    yield from _availability(id_, component)
    yield from _rules(id_, platform, component)


def _rules(id_: str, platform: str, component: dict[str, Any]) -> Iterator[str]:
    """What the descriptions say beyond names and types."""
    category = component.get("entity_category")
    if category is not None and category not in {"config", "diagnostic"}:
        yield f"{id_}: entity_category {category}"
    if platform in {"sensor", "binary_sensor"} and category not in {None, "diagnostic"}:
        yield f"{id_}: the category of a sensor is diagnostic, not {category}"
    if component.get("device_class") not in {None, *CLASSES.get(platform, ())}:
        yield f"{id_}: device_class {component['device_class']}"
    unit = component.get("unit_of_measurement")
    if unit not in UNITS.get(component.get("device_class", ""), {unit}):
        yield f"{id_}: the unit of a {component['device_class']} is not {unit}"
    if platform == "sensor" and "options" in component:
        if component.get("device_class") != "enum" or not component["options"]:
            yield f"{id_}: options are for the class enum, and not empty"
        if "state_class" in component or unit:
            yield f"{id_}: options do not go with state_class or unit_of_measurement"
    if component.get("state_class") not in {None, "measurement"}:
        yield f"{id_}: state_class {component['state_class']}"
    if platform == "number":
        yield from _numbers(id_, component)


def _numbers(id_: str, component: dict[str, Any]) -> Iterator[str]:
    if not component["min"] < component["max"]:
        yield f"{id_}: min {component['min']} is not below max {component['max']}"
    if component["step"] < SMALLEST_STEP:
        yield f"{id_}: step {component['step']}"
    if component.get("mode") not in {"auto", "box", "slider"}:
        yield f"{id_}: mode {component['mode']}"


def _availability(where: str, said: dict[str, Any]) -> Iterator[str]:
    for one in said.get("availability", ()):
        yield from _unknown(f"{where}: availability", one, AVAILABILITY)
        if not _is_topic(one.get("topic")):
            yield f"{where}: availability without a topic"
    if said.get("availability_mode", "latest") not in {"all", "any", "latest"}:
        yield f"{where}: availability_mode {said['availability_mode']}"
    if "availability" in said and "availability_topic" in said:
        yield f"{where}: availability goes with availability_topic"


def _is_topic(topic: object) -> bool:
    return isinstance(topic, str) and bool(topic) and not set("+#\0") & set(topic)


def _long(said: dict[str, Any], short: dict[str, str]) -> dict[str, Any]:
    return {short.get(key, key): value for key, value in said.items()}


def _unknown(where: str, said: dict[str, Any], known: Any) -> Iterator[str]:
    for key in said.keys() - set(known):
        yield f"{where}: there is no {key}"
