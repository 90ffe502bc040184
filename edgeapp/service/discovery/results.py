"""What the outputs of a pipeline say, as components: by the payloads that arrive."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.payload import Detections, Features, Score, Tracks
from edgeapp.plan.arriving import arriving
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.service.discovery.component import Component, Maker, text, title


@dataclass(frozen=True, slots=True)
class Names:
    """What no plan says, and the first packet does."""

    features: tuple[tuple[str, str], ...] = ()
    """Each with its unit."""
    labels: tuple[str, ...] = ()
    """Of a mask."""


@dataclass(frozen=True, slots=True)
class _Said:
    """One kind of payload that one output sends."""

    make: Maker
    plan: Plan
    stage: StagePlan
    topic: str
    names: Names = field(default_factory=Names)
    kind: tuple[str, ...] = ()
    """Goes into ids and names where the output sends several kinds."""
    mine: tuple[str, ...] = ()
    """Conditions that tell its messages from others on the topic; none where there are no others."""

    def one(
        self, platform: str, what: tuple[str, ...], name: tuple[str, ...], **config: Any
    ) -> Component:
        where = (self.plan.name, self.stage.id, *self.kind, *what)
        named = title(self.plan.name, self.stage.id, *self.kind) + "".join(f" {n}" for n in name)
        return self.make.make(
            platform,
            where,
            named,
            **{self._topic_key(platform): self.topic},
            **config,
        )

    def number(
        self, what: tuple[str, ...], name: tuple[str, ...], value: str, **config: Any
    ) -> Component:
        """A sensor of a number. An empty text is no news to it."""
        return self.one(
            "sensor",
            what,
            name,
            value_template=f"{{{{ ({value}) if {self.fresh} else '' }}}}",
            expire_after=self.expires_s,
            **{"state_class": "measurement", **config},
            **self.make.available(self.plan.name),
        )

    @property
    def fresh(self) -> str:
        """What is true of a message that says how things are now: an old one must not overwrite it."""
        return self.meant("not value_json.replay")

    def meant(self, *conditions: str) -> str:
        """The conditions, and that it is a message of this kind and output."""
        return " and ".join((*self.mine, *conditions)) or "true"

    @property
    def expires_s(self) -> int | None:
        """After how many seconds a value is of no use: what the output says of its messages."""
        if self.stage.ttl_s is None:
            return None
        return ceil(max(self.stage.ttl_s, 2 * self.stage.every_s))

    @staticmethod
    def _topic_key(platform: str) -> str:
        return "image_topic" if platform == "image" else "state_topic"


def of_outputs(make: Maker, plan: Plan, names: Mapping[str, Names]) -> Iterator[Component]:
    """The components of a pipeline's results. `names`: by id of the output."""
    comes = arriving(plan)
    topics = {
        stage.id: make.topic(getattr(stage.options, "topic", None) or f"{plan.name}/{stage.id}")
        for stage in plan.stages.values()
        if stage.plugin.kind == "output" and stage.plugin.name in {"mqtt", "snapshot"}
    }
    for id_, topic in topics.items():
        stage = plan.stages[id_]
        if stage.plugin.name == "snapshot":
            said = _Said(make, plan, stage, topic)
            yield said.one("image", ("picture",), ("picture",), content_type="image/jpeg")
            continue
        shared = list(topics.values()).count(topic) > 1
        by_stage = (f"value_json.stage == {text(id_)}",) if shared else ()
        kinds = _kinds(comes[id_])
        for name in kinds:
            several = len(kinds) > 1
            by_kind = (f"value_json.schema == {text(f'edgeapp/{name}/1')}",) if several else ()
            yield from _COMPONENTS[name](
                _Said(
                    make,
                    plan,
                    stage,
                    topic,
                    names.get(id_, Names()),
                    (name,) if several else (),
                    (*by_stage, *by_kind),
                )
            )


def _kinds(payloads: tuple[type, ...]) -> list[str]:
    """The kinds of messages that payloads make. What is tracked is sent as tracks alone."""
    found = {kind for one in payloads for kind in _PAYLOADS if issubclass(one, kind)}
    if Tracks in found and all(
        issubclass(one, Tracks) for one in payloads if issubclass(one, Detections)
    ):
        found.remove(Detections)
    return [name for kind, name in _PAYLOADS.items() if kind in found]


def _counted(said: _Said) -> Iterator[Component]:
    yield said.number(("count",), ("count",), "value_json.count")


def _score(said: _Said) -> Iterator[Component]:
    value = "value_json.value if value_json.ready else none"
    yield said.number(("score",), ("score",), value, suggested_display_precision=3)
    learned = "(100 * value_json.progress) | round"
    yield said.number(
        ("learned",),
        ("learned",),
        learned,
        unit_of_measurement="%",
        entity_category="diagnostic",
    )


def _labels(said: _Said) -> Iterator[Component]:
    best = "value_json.labels[0] if value_json.labels else none"
    attributes = "{{ {'score': value_json.scores[0] if value_json.scores else none} | tojson }}"
    yield said.one(
        "sensor",
        ("label",),
        ("label",),
        value_template=f"{{{{ ({best}) if {said.fresh} else this.state }}}}",
        json_attributes_topic=None if said.mine else said.topic,
        json_attributes_template=None if said.mine else attributes,
        expire_after=said.expires_s,
        **said.make.available(said.plan.name),
    )


def _features(said: _Said) -> Iterator[Component]:
    for name, unit in said.names.features:
        yield said.number(
            ("value", name),
            (name,),
            f"value_json['values'][{text(name)}]",
            unit_of_measurement=None if unit == "1" else unit,
        )


def _areas(said: _Said) -> Iterator[Component]:
    for label in said.names.labels:
        yield said.number(
            ("area", label),
            (label,),
            f"(100 * value_json.areas[{text(label)}]) | round(2)",
            unit_of_measurement="%",
        )


def _pose(said: _Said) -> Iterator[Component]:
    for axis in ("x", "y", "z"):
        yield said.number(
            (f"{axis}_m",),
            (axis,),
            f"value_json.{axis}_m",
            unit_of_measurement="m",
            device_class="distance",
            suggested_display_precision=4,
        )


_EVENT_FIELDS = ("event", "kind", "label", "duration_s", "score", "facts", "time", "replay")


def _event(said: _Said) -> Iterator[Component]:
    fields = ", ".join(f"'{name}': value_json.{name}" for name in _EVENT_FIELDS)
    told = f"{{'event_type': value_json.phase, {fields}}} | tojson"
    yield said.one(
        "event",
        ("event",),
        ("event",),
        event_types=["new", "update", "end"],
        value_template=f"{{{{ ({told}) if {said.meant()} else '' }}}}",
    )
    if said.stage.when is not None:
        return  # it may leave out what begins, or what ends
    for read in said.stage.reads:
        upstream = said.plan.stages[read]
        for what, condition in _lasting(upstream):
            mine = f"value_json.event[:-13] == {text(read)}"  # without "-" and twelve digits
            state = "'OFF' if value_json.phase == 'end' else 'ON'"
            fresh = said.meant("not value_json.replay", mine, condition)
            yield said.one(
                "binary_sensor",
                ("on", read, what),
                (title(read).lower(), what),
                value_template=f"{{{{ ({state}) if {fresh} else '' }}}}",
                device_class="problem" if upstream.plugin.name == "machine_health" else None,
                **said.make.available(said.plan.name),
            )


def _lasting(stage: StagePlan) -> Iterator[tuple[str, str]]:
    """What of a stage's events is on or off, since one lasts at a time: a name, and a condition."""
    if stage.plugin.name == "machine_health":
        yield "alarm", "value_json.kind == 'alarm'"
    if stage.plugin.name == "episodes":
        for label in getattr(stage.options, "label", ()):
            yield label, f"value_json.label == {text(label)}"


_PAYLOADS: Mapping[type, str] = {
    Detections: "detections",
    Tracks: "tracks",
    Score: "score",
    Labels: "labels",
    Features: "features",
    Mask: "mask",
    Pose: "pose",
    Event: "event",
}
_COMPONENTS: Mapping[str, Callable[[_Said], Iterator[Component]]] = {
    "detections": _counted,
    "tracks": _counted,
    "score": _score,
    "labels": _labels,
    "features": _features,
    "mask": _areas,
    "pose": _pose,
    "event": _event,
}
