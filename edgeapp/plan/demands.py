"""What options demand of the payloads that arrive: the fields that rules name, and `Reads`."""

from collections.abc import Iterator, Mapping
from typing import Any

from edgeapp.config.pipeline import StageSpec
from edgeapp.config.validate import rule_complaint
from edgeapp.core.plugin import Reads
from edgeapp.document.tree import Listing
from edgeapp.errors import Complaint
from edgeapp.plan.discover import Registry
from edgeapp.plan.fitting import remedy_for
from edgeapp.plan.graph import StagePlan
from edgeapp.plan.payloads import classes_of, misfits, name_of
from edgeapp.rules.tree import RuleError
from edgeapp.rules.written import Written


def check_demands(
    spec: StageSpec,
    stage: StagePlan,
    gives: Mapping[str, Any],
    registry: Registry,
    found: list[Complaint],
) -> None:
    """Check a stage's options against what arrives; what does not go together goes to `found`.

    `gives` says what each stage gives, as far as that is known; without it nothing is said.
    """
    if not stage.reads or any(read not in gives for read in stage.reads):
        return
    arriving = [one for read in stage.reads for one in classes_of(gives[read])]
    for key, number, written in _written(stage):
        try:
            written.check_for(arriving)
        except RuleError as error:
            if entry := spec.table.get(key):
                node = (
                    entry.value.items[number] if isinstance(entry.value, Listing) else entry.value
                )
                found.append(rule_complaint(error, node, f"{spec.label}: {key}: "))
    for key, wanted in _wanted(stage):
        for read in stage.reads:
            if misfits(gives[read], wanted):
                problem = (
                    f"{spec.label}: {key} reads {name_of(wanted)}, "
                    f"but '{read}' gives {name_of(gives[read])}"
                )
                remedy = remedy_for(gives[read], wanted, read, registry)
                found.append(Complaint(spec.place_of(key), problem, remedy))


def _written(stage: StagePlan) -> Iterator[tuple[str, int, Written]]:
    """What a stage says in the language of rules: key, position in its list, and what is said.

    That is the framework's `when` and `on_change`, and options that are rules.
    """
    if stage.when is not None:
        yield "when", 0, stage.when
    for number, term in enumerate(stage.on_change):
        yield "on_change", number, term
    for name, field in type(stage.options).model_fields.items():
        value = getattr(stage.options, name)
        if isinstance(value, Written):
            yield field.alias or name, 0, value


def _wanted(stage: StagePlan) -> Iterator[tuple[str, type]]:
    """Options that are given and marked with `Reads`, and what they read."""
    for name, field in type(stage.options).model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Reads) and getattr(stage.options, name) is not None:
                yield field.alias or name, mark.payload
