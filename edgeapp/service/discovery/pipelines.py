"""What can be seen and steered of a pipeline, as components: its state, models and live options."""

from collections.abc import Iterator
from typing import Any, get_args

from edgeapp.config.words import at_path, schema_of
from edgeapp.core.payload import Image
from edgeapp.core.plugin import live_options
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.plan.payloads import alternatives
from edgeapp.runtime.status import State
from edgeapp.service.discovery.component import Component, Maker, text, title

_WIDE = 1_000_000.0
"""How far a number may go whose option has no bound."""
_UNITS = {"s": "s", "ms": "ms", "px": "px", "mm": "mm", "deg": "°", "hz": "Hz", "c": "°C"}


def of_pipeline(make: Maker, plan: Plan) -> Iterator[Component]:
    """The state of a pipeline, with a switch where it may be switched."""
    name = plan.name
    topic = make.topic(name, "state")
    if "enable" in make.commands:
        off = "value_json.state in ['paused', 'finished', 'stopped']"
        yield make.make(
            "switch",
            (name, "enabled"),
            title(name),
            state_topic=topic,
            value_template=f"{{{{ 'OFF' if {off} else 'ON' }}}}",
            command_topic=make.topic(name, "set"),
            payload_on="ON",
            payload_off="OFF",
        )
    else:
        yield make.make(
            "binary_sensor",
            (name, "running"),
            f"{title(name)} running",
            state_topic=topic,
            value_template="{{ 'ON' if value_json.state == 'running' else 'OFF' }}",
            device_class="running",
        )
    yield make.make(
        "sensor",
        (name, "state"),
        f"{title(name)} state",
        state_topic=topic,
        value_template="{{ value_json.state }}",
        device_class="enum",
        options=list(get_args(State)),
        json_attributes_topic=topic,
        json_attributes_template="{{ {'why': value_json.why} | tojson }}",
        entity_category="diagnostic",
    )


def of_sources(make: Maker, plan: Plan) -> Iterator[Component]:
    """Whether each live source gives anything."""
    for source in plan.sources:
        if not source.live or source.silent_s == 0:
            continue
        topic = make.topic(plan.name, source.id, "silent")
        yield make.make(
            "binary_sensor",
            (plan.name, source.id, "silent"),
            f"{title(plan.name, source.id)} silent",
            state_topic=topic,
            value_template="{{ 'ON' if value_json.silent else 'OFF' }}",
            device_class="problem",
            json_attributes_topic=topic,
            json_attributes_template=(
                "{{ {'gap_s': value_json.gap_s, 'count': value_json.count} | tojson }}"
            ),
            entity_category="diagnostic",
        )


def of_models(make: Maker, plan: Plan) -> Iterator[Component]:
    """The variant that each model stage uses, with a choice where one may be pinned."""
    for stage in plan.stages.values():
        if not stage.variants:
            continue
        topic = make.topic(plan.name, stage.id, "variant")
        variants = list(dict.fromkeys(variant.name for variant in stage.variants))
        yield make.make(
            "sensor",
            (plan.name, stage.id, "variant"),
            f"{title(plan.name, stage.id)} variant",
            state_topic=topic,
            value_template="{{ value_json.variant }}",
            device_class="enum",
            options=variants,
            json_attributes_topic=topic,
            json_attributes_template=(
                "{{ {'rung': value_json.rung, 'divisor': value_json.divisor,"
                " 'pinned': value_json.pinned} | tojson }}"
            ),
            entity_category="diagnostic",
        )
        if "pin" in make.commands:
            yield make.make(
                "select",
                (plan.name, stage.id, "pin"),
                f"{title(plan.name, stage.id)} use",
                state_topic=topic,
                value_template="{{ value_json.variant if value_json.pinned else 'auto' }}",
                command_topic=make.topic(plan.name, stage.id, "variant", "set"),
                options=["auto", *(variant for variant in variants if variant != "auto")],
                entity_category="config",
            )


def of_pictures(make: Maker, plan: Plan) -> Iterator[Component]:
    """A button for each camera, and the picture that comes when it is pressed."""
    if "snapshot" not in make.commands:
        return
    for source in plan.sources:
        if Image not in alternatives(source.plugin.gives):
            continue
        topic = make.topic(plan.name, source.id, "snapshot")
        named = title(plan.name, source.id)
        yield make.make(
            "button",
            (plan.name, source.id, "take"),
            f"{named} take snapshot",
            command_topic=f"{topic}/set",
            payload_press="take",
        )
        yield make.make(
            "image",
            (plan.name, source.id, "snapshot"),
            f"{named} snapshot",
            image_topic=topic,
            content_type="image/jpeg",
        )


def of_options(make: Maker, plan: Plan) -> Iterator[Component]:
    """What can be changed while it runs: a number, a switch or a choice for each live option."""
    if "tune" not in make.commands:
        return
    for stage in plan.stages.values():
        for option in live_options(stage.plugin.options):
            made = _option(make, plan, stage, option)
            if made is not None:
                yield made


def _option(make: Maker, plan: Plan, stage: StagePlan, option: str) -> Component | None:
    schema = at_path(schema_of(stage.plugin.options), (option,))
    value = f"value_json['values'][{text(option)}]"
    platform = ""
    config: dict[str, Any] = {}
    if "enum" in schema and all(isinstance(choice, str) for choice in schema["enum"]):
        platform = "select"
        config = {"options": list(schema["enum"]), "value_template": f"{{{{ {value} }}}}"}
    elif schema.get("type") == "boolean":
        platform = "switch"
        config = {
            "payload_on": "true",
            "payload_off": "false",
            "value_template": f"{{{{ {value} | tojson }}}}",
        }
    elif schema.get("type") in {"number", "integer"}:
        platform = "number"
        config = {**_range(schema), "value_template": f"{{{{ {value} }}}}", "mode": "box"}
        config["unit_of_measurement"] = (
            _UNITS.get(option.rpartition("_")[2]) if "_" in option else None
        )
    if not platform:
        return None  # free text is not for a dashboard
    return make.make(
        platform,
        (plan.name, stage.id, "option", option),
        f"{title(plan.name, stage.id)} {title(option).lower()}",
        state_topic=make.topic(plan.name, stage.id, "settings"),
        command_topic=make.topic(plan.name, stage.id, option, "set"),
        entity_category="config",
        **config,
    )


def _range(schema: Any) -> dict[str, float]:
    """The least, the greatest and the step of a number, from its JSON Schema."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    whole = schema["type"] == "integer"
    narrow = low is not None and high is not None and high - low <= 1
    step = 1 if whole else 0.001 if narrow else 0.01
    low, high = (-_WIDE if low is None else low), (_WIDE if high is None else high)
    if "exclusiveMinimum" in schema and "minimum" not in schema:
        low += step
    if "exclusiveMaximum" in schema and "maximum" not in schema:
        high -= step
    return {"min": low, "max": high, "step": step}
