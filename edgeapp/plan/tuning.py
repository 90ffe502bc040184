"""Changing an option of a stage that is planned already, checked as in a pipeline file."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from edgeapp.config.validate import Subject, validate
from edgeapp.core.plugin import Options, live_options
from edgeapp.document.reader import UNPRINTABLE
from edgeapp.document.scalars import resolve
from edgeapp.document.tree import Entry, Scalar, Table
from edgeapp.document.words import did_you_mean
from edgeapp.errors import Complaint, ConfigError, Place
from edgeapp.plan.graph import Plan, StagePlan

Setting = float | int | bool | str | None
_LONGEST = 1_000
_NOWHERE = Place("the command")


def settings_of(stage: StagePlan, rung: int = 0) -> Mapping[str, Setting]:
    """The live options of a stage with their values; of a model stage, those of one rung."""
    options = stage.variants[rung].options if stage.variants else stage.options
    return {key: getattr(options, name) for key, name in live_options(stage.plugin.options).items()}


def tuned(stage: StagePlan, option: str, text: str) -> StagePlan:
    """The stage with another value of a live option; of a model stage, for all of its variants.

    `text` is read as it would be in a pipeline file.

    Raises:
        ConfigError: there is no such option, it cannot be changed live, or not to this value.
    """
    name = _field(stage, option)
    return _with(stage, name, _value(stage, option, text))


def with_tuned(coming: Plan, given: Plan, now: Plan) -> Plan:
    """A plan with the live options that were tuned in another: what differs from `given` in `now`.

    Where a stage, an option or what the file says of it is another one than before, or the value
    does not go with the rest, the file counts.
    """
    stages = dict(coming.stages)
    for id_, stage in coming.stages.items():
        before, tuned_ = given.stages.get(id_), now.stages.get(id_)
        if before is None or tuned_ is None or before.plugin.factory is not stage.plugin.factory:
            continue
        for name in live_options(stage.plugin.options).values():
            said, value = getattr(before.options, name), getattr(tuned_.options, name)
            if value != said and getattr(stage.options, name) == said:
                with suppress(ConfigError):
                    stages[id_] = _with(stages[id_], name, value)
    return replace(coming, stages=stages)


def _with(stage: StagePlan, name: str, value: Any) -> StagePlan:
    return replace(
        stage,
        options=_changed(stage, stage.options, name, value),
        variants=tuple(
            replace(variant, options=_changed(stage, variant.options, name, value))
            for variant in stage.variants
        ),
    )


def _field(stage: StagePlan, option: str) -> str:
    """The name of the field behind an option."""
    options = stage.plugin.options
    live = live_options(options)
    if option in live:
        return live[option]
    if option in {field.alias or name for name, field in options.model_fields.items()}:
        problem = f"'{option}' of stage '{stage.id}' cannot be changed while it runs"
        which = f"these can: {', '.join(live)}" if live else "none of its options can"
        raise ConfigError([Complaint(None, problem, which)])
    problem = f"stage '{stage.id}' has no option '{option[:80]}'"
    remedy = did_you_mean(option[:80], live, heading="Live options")
    raise ConfigError([Complaint(None, problem, remedy)])


def _value(stage: StagePlan, option: str, text: str) -> Any:
    """The value that a text stands for, checked by itself."""
    if len(text) > _LONGEST:
        problem = f"stage '{stage.id}': a value of '{option}' has at most {_LONGEST:,} characters"
        raise ConfigError([Complaint(None, problem)])
    bare = text.strip()
    scalar = Scalar(resolve(bare), bare, _NOWHERE)
    if bare.startswith('"'):
        with suppress(ValueError, RecursionError):
            scalar = Scalar(str(json.loads(bare)), bare, _NOWHERE)
    if isinstance(scalar.value, str) and (match := UNPRINTABLE.search(scalar.value)):
        problem = f"this text holds the control character U+{ord(match[0]):04X}"
        raise ConfigError([Complaint(None, problem)])
    table = Table((Entry(option, _NOWHERE, scalar),), _NOWHERE)
    owner = f"{stage.plugin.kind} '{stage.id}'"
    found: list[Complaint] = []
    alone = _alone(stage.plugin.options, option)
    checked = validate(alone, table, Subject(f"stage '{stage.id}'", owner, _NOWHERE), found=found)
    if checked is None:
        raise ConfigError(replace(complaint, place=None) for complaint in found)
    return getattr(checked, live_options(stage.plugin.options)[option])


def _changed(stage: StagePlan, options: Options, name: str, value: Any) -> Options:
    """Options with one other value, where that goes with the rest of them."""
    kind = type(options)
    draft: Any = _draft(kind).model_construct(options.model_fields_set, **dict(options))
    try:
        setattr(draft, name, value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = first.get("ctx", {}).get("error", first["msg"])
        raise ConfigError([Complaint(None, f"stage '{stage.id}': {said}")]) from None
    return options.model_copy(update={name: getattr(draft, name)})


@lru_cache(maxsize=64)
def _alone(options: type[Options], option: str) -> type[Options]:
    """A model with that option alone, so that what is wrong with it is said as of a file."""
    name = live_options(options)[option]
    field = options.model_fields[name]
    fields: dict[str, Any] = {name: (field.annotation, field)}
    return create_model(options.__name__, __base__=Options, **fields)


@lru_cache(maxsize=64)
def _draft(options: type[Options]) -> type[Options]:
    """The same options, but so that each change is validated together with the rest."""
    config = ConfigDict(frozen=False, validate_assignment=True, validate_by_name=True)
    return type(
        options.__name__, (options,), {"__module__": options.__module__, "model_config": config}
    )
