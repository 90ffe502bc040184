"""Changing a live option is checked as a pipeline file is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from edgeapp.api import Context, Field, Live, Options, Packet, Score, transform
from edgeapp.config.device import DeviceConfig
from edgeapp.errors import ConfigError, PluginError
from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import StagePlan, VariantPlan
from edgeapp.plan.load import load
from edgeapp.plan.registry import register
from edgeapp.plan.tuning import settings_of, tuned

PIPELINE = """
name: trend
stages:
  bearing: {{source: bearing, rate_hz: 8000}}
  window: {{transform: window, length_s: 0.2}}
  features: {{transform: features}}
  trend: {{transform: anomaly, learn_s: 5}}
  gate: {{transform: gate, rise_above: 1, {option}}}
  log: {{action: log}}
"""


def planned(folder: Path, option: str = "for_s: 0") -> StagePlan:
    file = folder / "trend.yaml"
    file.write_text(PIPELINE.format(option=option))
    [plan] = load([file], device=DeviceConfig("d", folder, None, None))
    return plan.stages["gate"]


@pytest.fixture
def gate(tmp_path: Path) -> StagePlan:
    """A gate that rises above 1."""
    return planned(tmp_path)


def said(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    [complaint] = caught.value.complaints
    return f"{complaint.problem}; {complaint.remedy}" if complaint.remedy else complaint.problem


def test_a_live_option_takes_another_value_and_the_rest_stays(gate: StagePlan) -> None:
    changed = tuned(gate, "rise_above", " 2.5 ")
    assert settings_of(changed) == {"rise_above": 2.5, "fall_below": None, "for_s": 0.0}
    assert replace(changed, options=gate.options) == gate
    assert settings_of(tuned(changed, "fall_below", "2")) == {
        "rise_above": 2.5,
        "fall_below": 2.0,
        "for_s": 0.0,
    }


def test_an_option_can_be_taken_back_where_it_may_be_left_out(gate: StagePlan) -> None:
    changed = tuned(gate, "fall_below", "0.5")
    assert settings_of(tuned(changed, "fall_below", "null"))["fall_below"] is None


@pytest.mark.parametrize("text", ["-1", "soon", '"3"', "true", "", "[1, 2]", ".inf", ".nan"])
def test_a_wrong_value_is_answered_as_check_does(
    gate: StagePlan, tmp_path: Path, text: str
) -> None:
    with pytest.raises(ConfigError) as of_file:
        planned(tmp_path, f"for_s: {text}")
    assert (
        said(lambda: tuned(gate, "for_s", text)).partition(", not")[0].partition(", but")[0]
        == (of_file.value.complaints[0].problem.partition(", not")[0].partition(", but")[0])
    )


def test_a_value_that_does_not_go_with_the_others_is_refused(gate: StagePlan) -> None:
    assert said(lambda: tuned(gate, "fall_below", "3")) == (
        "stage 'gate': fall_below is not higher than rise_above"
    )


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("when", "'when' of stage 'gate' cannot be changed while it runs; these can: rise_above"),
        ("rise_abov", "stage 'gate' has no option 'rise_abov'; did you mean 'rise_above'?"),
        ("x" * 500, "stage 'gate' has no option 'xxx"),
    ],
)
def test_what_is_no_live_option_is_said(gate: StagePlan, option: str, sentence: str) -> None:
    answer = said(lambda: tuned(gate, option, "1"))
    assert answer.startswith(sentence)
    assert len(answer) < 300


def test_a_value_as_long_as_a_book_is_not_read(gate: StagePlan) -> None:
    assert said(lambda: tuned(gate, "for_s", "9" * 2_000)) == (
        "stage 'gate': a value of 'for_s' has at most 1,000 characters"
    )


def test_all_variants_of_a_model_are_tuned() -> None:
    plugin = Registry().find("model", "detector")
    best, light = plugin.options(min_score=0.5), plugin.options(min_score=0.3)  # type: ignore[call-arg]  # the detector's
    variants = tuple(
        VariantPlan(name, Path(name), options)
        for name, options in (("best", best), ("light", light))
    )
    stage = StagePlan("detect", plugin, best, ("camera",), (), variants=variants)
    changed = tuned(stage, "min_score", "0.7")
    assert [settings_of(changed, rung)["min_score"] for rung in (0, 1)] == [0.7, 0.7]
    assert settings_of(stage, 1)["min_score"] == 0.3


def test_options_that_have_another_name_in_yaml_are_known_by_that() -> None:
    stage = StagePlan("s", register(Aliased), AliasedOptions(limit=1.0), ("a",), ())
    assert settings_of(tuned(stage, "limit", "2")) == {"limit": 2.0}


class AliasedOptions(Options):
    most: Annotated[float, Live()] = Field(alias="limit", gt=0, description="How much.")


@transform("aliased")
class Aliased:
    """Has an option with another name."""

    def __init__(self, options: AliasedOptions, context: Context) -> None: ...

    def tune(self, options: AliasedOptions) -> None: ...

    def process(self, packet: Packet[Score]) -> Score:
        return packet.value


class ListOptions(Options):
    most: Annotated[tuple[float, ...], Live()] = Field((), description="How much.")


class NamedOptions(Options):
    variant: Annotated[str, Live()] = Field("", description="Which.")


class PlainOptions(Options):
    most: Annotated[float, Live()] = Field(1.0, description="How much.")


def made(options: type[Options], **methods: Any) -> type[Any]:
    def init(self: object, options: Options, context: Context) -> None: ...

    def process(_self: object, packet: Packet[Score]) -> Score:
        return packet.value

    init.__annotations__["options"] = options
    return transform("wrong")(type("Wrong", (), {"__init__": init, "process": process, **methods}))


def test_an_author_is_told_what_keeps_an_option_from_being_live() -> None:
    def tune(self: object, options: PlainOptions) -> None: ...

    assert register(made(PlainOptions, tune=tune)).name == "wrong"
    for wrong, sentence in (
        (made(PlainOptions), r"needs a method tune\(\) for its live options"),
        (made(ListOptions, tune=tune), "'most' cannot be live: it is no number, switch or text"),
        (made(NamedOptions, tune=tune), "'variant' cannot be live under this name"),
    ):
        with pytest.raises(PluginError, match=sentence):
            register(wrong)


def test_every_built_in_with_live_options_keeps_its_word() -> None:
    """Registering checks it; and there are some of each sort that has thresholds."""
    registry = Registry()
    live = {name for kind, name in BUILTINS if settings_of(_some(registry.find(kind, name)))}
    assert {"keep", "gate", "motion", "zones", "episodes", "machine_health", "detector"} <= live


def _some(plugin: Any) -> StagePlan:
    return StagePlan("s", plugin, _AnyOptions(), (), ())


class _AnyOptions(Options):
    def __getattr__(self, name: str) -> Any:
        return None
