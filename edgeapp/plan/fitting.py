"""Whether payloads fit from stage to stage, and what would go between."""

from collections.abc import Iterator, Mapping
from typing import Any

from edgeapp.config.pipeline import PipelineSpec
from edgeapp.core.plugin import Kind, Plugin
from edgeapp.errors import Complaint, PluginError
from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.discover import Registry
from edgeapp.plan.payloads import after, alternatives, misfits, name_of
from edgeapp.plan.wiring import Wiring

_CONVERTERS: tuple[Kind, ...] = ("transform", "model")
_MOST_BETWEEN = 3


def fit(
    spec: PipelineSpec,
    wiring: Wiring,
    plugins: Mapping[str, Plugin],
    registry: Registry,
    found: list[Complaint],
) -> dict[str, Any]:
    """Follow the payloads through the pipeline; what does not fit goes to `found`.

    Returns what each stage gives, as far as that is known.
    """
    gives: dict[str, Any] = {}
    for id_ in wiring.order:
        plugin = plugins.get(id_)
        if plugin is None:
            continue
        if plugin.kind == "source":
            gives[id_] = plugin.gives
            continue
        reads = wiring.reads.get(id_, ())
        if not reads or any(read not in gives for read in reads):
            continue
        wrong = [read for read in reads if misfits(gives[read], plugin.takes)]
        for read in wrong:
            problem = (
                f"{plugin.kind} '{plugin.name}' reads {name_of(plugin.takes)}, "
                f"but '{read}' gives {name_of(gives[read])}"
            )
            remedy = remedy_for(gives[read], plugin.takes, read, registry)
            found.append(Complaint(spec.stages[id_].plugin_place, problem, remedy))
        if not wrong and plugin.gives is not None:
            gives[id_] = after(plugin.takes, plugin.gives, gives[reads[0]])
    return gives


def remedy_for(incoming: Any, takes: Any, read: str, registry: Registry) -> str:
    """What to do about a stage that cannot take what the stage `read` gives."""
    between = _between(incoming, takes, registry)
    if between:
        steps = ", then ".join(f"'{plugin.kind}: {plugin.name}'" for plugin in between)
        return f"put {steps} between, or read another stage with 'from'"
    return f"read another stage than '{read}' with 'from'"


def _between(incoming: Any, takes: Any, registry: Registry) -> tuple[Plugin, ...]:
    """The shortest chain of built-in stages that turns one payload into another."""
    converters = list(_converters(registry))
    chains: list[tuple[Any, tuple[Plugin, ...]]] = [(incoming, ())]
    for _ in range(_MOST_BETWEEN):
        longer = []
        for payload, chain in chains:
            for plugin in converters:
                if plugin in chain or misfits(payload, plugin.takes):
                    continue
                result = after(plugin.takes, plugin.gives, payload)
                if set(alternatives(result)) == set(alternatives(payload)):
                    continue  # it changes the value, not its type
                if not misfits(result, takes):
                    return (*chain, plugin)
                longer.append((result, (*chain, plugin)))
        chains = longer
    return ()


def _converters(registry: Registry) -> Iterator[Plugin]:
    for kind, name in BUILTINS:
        if kind in _CONVERTERS:
            try:
                yield registry.find(kind, name)
            except PluginError:  # such as a missing OpenCV; then it is no help here
                continue
