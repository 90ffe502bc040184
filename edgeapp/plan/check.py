"""The check of one pipeline: wiring, plugins, options, payloads, queues and models, all at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeapp.config.device import DeviceConfig
from edgeapp.config.pipeline import (
    ActionSettings,
    ModelSettings,
    OutputSettings,
    PipelineSpec,
    SinkSettings,
    SourceSettings,
    StageSettings,
    StageSpec,
    keys_of,
)
from edgeapp.config.validate import Subject, validate
from edgeapp.core.message import Priority
from edgeapp.core.plugin import Options, Plugin, Surroundings
from edgeapp.document.tree import shortened
from edgeapp.document.words import did_you_mean
from edgeapp.errors import Complaint, PluginError
from edgeapp.plan.demands import check_demands
from edgeapp.plan.discover import Registry
from edgeapp.plan.fitting import fit
from edgeapp.plan.graph import Cut, Plan, StagePlan, VariantPlan
from edgeapp.plan.links import cut_before, gates, lane_of, link_of
from edgeapp.plan.physics import check_physics
from edgeapp.plan.privacy import past_masks
from edgeapp.plan.variants import Models, plan_variants
from edgeapp.plan.wiring import Wiring, wire


@dataclass(frozen=True, slots=True)
class Check:
    """The check of one pipeline. Everything wrong goes to `found`."""

    file: Path
    spec: PipelineSpec
    device: DeviceConfig
    registry: Registry
    models: Models | None
    found: list[Complaint]

    def plan(self) -> Plan | None:
        """The plan; None when something is wrong."""
        spec = self.spec
        wiring = wire(spec, self.found)
        plugins = {s.id: p for s in spec.stages.values() if (p := self._plugin(s))}
        gives = fit(spec, wiring, plugins, self.registry, self.found)
        carrying = [id_ for id_, stage in spec.stages.items() if stage.table.get("carry")]
        gate = gates(wiring, plugins, carrying)
        stages = {}
        cuts: dict[str, Cut] = {}
        for id_ in wiring.order:
            if id_ in plugins:
                cuts[id_] = self._cut(spec.stages[id_], plugins[id_], wiring, cuts)
                stage = self._stage(
                    spec.stages[id_], plugins[id_], wiring, gives.get(id_), gate, cut=cuts[id_]
                )
                if stage:
                    stages[id_] = stage
                    check_demands(spec.stages[id_], stage, gives, self.registry, self.found)
        check_physics(spec, stages, self.found)
        self.found.extend(past_masks(spec, wiring, plugins))
        if self.found:
            return None
        rank = spec.settings
        return Plan(
            spec.name, spec.about, self.file, stages, rank.weight, rank.critical, rank.grace_s
        )

    def _plugin(self, stage: StageSpec) -> Plugin | None:
        try:
            return self.registry.find(stage.kind, stage.plugin)
        except KeyError:
            self.found.append(self._unknown(stage))
        except PluginError as error:
            problem = f"{stage.label} cannot use its plugin: {error}"
            self.found.append(Complaint(stage.plugin_place, problem))
        return None

    def _unknown(self, stage: StageSpec) -> Complaint:
        others = [kind for kind, name in self.registry.keys() if name == stage.plugin]  # noqa: SIM118 - no mapping
        problem = f"there is no {stage.kind} '{shortened(stage.plugin)}'"
        if others:
            remedy = f"'{stage.plugin}' is of another kind: write '{others[0]}: {stage.plugin}'"
        else:
            names = self.registry.names(stage.kind)
            remedy = did_you_mean(stage.plugin, names, heading=f"{stage.kind.title()}s")
        if (
            self.registry.unreadable
        ):  # first: what is told of a reload ends with less than all names
            remedy = f"is it in here? {'; '.join(self.registry.unreadable)}; else {remedy}"
        return Complaint(stage.plugin_place, problem, remedy)

    @staticmethod
    def _cut(spec: StageSpec, plugin: Plugin, wiring: Wiring, cuts: Mapping[str, Cut]) -> Cut:
        """What stands before a stage; one that reads several lanes needs its own."""
        cut = cut_before(spec, plugin)
        reads = wiring.reads.get(spec.id, ())
        if cut == "none" and len({lane_of(read, wiring, cuts) for read in reads}) > 1:
            return "lane"
        return cut

    def _stage(
        self,
        spec: StageSpec,
        plugin: Plugin,
        wiring: Wiring,
        gives: Any,
        gate: Mapping[str, str],
        *,
        cut: Cut,
    ) -> StagePlan | None:
        around = Surroundings(
            self.file.absolute().parent,
            self.device.data_dir / (self.spec.name or "unnamed"),
            self.device.allow_commands,
        )
        variants: tuple[VariantPlan, ...] = ()
        options: Options | None
        if spec.kind == "model":
            variants = plan_variants(spec, plugin, around, self.models, self.found)
            options = variants[0].options if variants else None
        else:
            subject = Subject(
                spec.label, f"{spec.kind} '{spec.plugin}'", spec.place, keys_of(spec.kind)
            )
            options = validate(
                plugin.options, spec.options, subject, found=self.found, context=around
            )
        if options is None:
            return None
        settings = spec.settings
        if spec.kind == "source" and settings.lane:
            problem = f"'{spec.id}' is a source: 'lane' is for the stages after it"
            self.found.append(Complaint(spec.place_of("lane"), problem, "remove it"))
        live = spec.kind == "source" and self._is_live(spec, plugin, options)
        return StagePlan(
            spec.id,
            plugin,
            options,
            wiring.reads.get(spec.id, ()),
            wiring.consumers(spec.id),
            cut,
            link_of(spec, cut, gives, live=live, found=self.found),
            variants,
            carry=settings.carry if isinstance(settings, ModelSettings) else {},
            deadline_ms=settings.deadline_ms
            if isinstance(settings, ModelSettings | SinkSettings)
            else None,
            hang_s=settings.hang_s,
            silent_s=settings.silent_s if isinstance(settings, SourceSettings) else None,
            timeout_s=settings.timeout_s if isinstance(settings, ActionSettings) else 10.0,
            priority=_priority(settings, plugin),
            every_s=settings.every_s if isinstance(settings, OutputSettings) else 0.0,
            on_change=settings.on_change if isinstance(settings, OutputSettings) else (),
            ttl_s=settings.ttl_s if isinstance(settings, OutputSettings) else None,
            when=settings.when if isinstance(settings, SinkSettings) else None,
            gate_for=gate.get(spec.id),
        )

    def _is_live(self, spec: StageSpec, plugin: Plugin, options: Options) -> bool:
        try:
            return bool(plugin.live(options))
        except Exception as error:  # noqa: BLE001 - the plugin's own test may raise anything
            problem = (
                f"{spec.label} cannot use its plugin: the 'live' of source '{plugin.name}' "
                f"({plugin.where}) failed: {type(error).__name__}: {error}"
            )
            self.found.append(Complaint(spec.plugin_place, problem))
            return False


def _priority(settings: StageSettings, plugin: Plugin) -> Priority:
    """The class of an output's messages: what the file says, else what suits the output."""
    if isinstance(settings, OutputSettings) and settings.priority is not None:
        return settings.priority
    return getattr(plugin.factory, "priority", "normal")
