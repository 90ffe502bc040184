"""The check of rules in a pipeline: where, against what arrives, and through `--set`."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgeapp.config.device import read_device
from edgeapp.document.reader import read
from edgeapp.document.render import render_all
from edgeapp.document.tree import plain
from edgeapp.errors import ConfigError
from edgeapp.plan.discover import Registry
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.plan.schema import pipeline_schema
from edgeapp.rules.rule import DetectionRule, Rule
from edgeapp.rules.term import Term

PLUGINS = '''
from typing import TypeVar

from edgeapp.api import *

T = TypeVar("T", bound=Payload)


class None_(Options):
    pass


class Ruled(Options):
    only: Rule | None = Field(None, alias="if", description="A rule under another name.")


class Base:
    def __init__(self, options: None_, context: Context) -> None: ...


@source("eyes")
class Eyes(Base):
    """Detections."""

    def run(self, emit: Emit[Detections], /) -> None: ...


@source("news")
class News(Base):
    """Events."""

    def run(self, emit: Emit[Event], /) -> None: ...


@transform("follow")
class Follow(Base):
    """Tracks."""

    def process(self, packet: Packet[Detections]) -> Tracks: ...


@transform("asking")
class Asking:
    """A rule as an option of a plugin."""

    def __init__(self, options: Ruled, context: Context) -> None: ...

    def process(self, packet: Packet[T]) -> T: ...


@action("do")
class Do(Base):
    """Takes anything."""

    def act(self, packet: Packet[Payload]) -> None: ...


@output("say")
class Say(Base):
    """Says anything."""

    def encode(self, packet: Packet[Payload]) -> Message | None: ...
'''

HEAD = """\
name: a
stages:
  eyes:  {source: eyes}
  news:  {source: news}
  bear:  {source: bearing}
  score: {transform: anomaly}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """Checks a pipeline whose stages follow those of HEAD; gives it, or all complaints in words."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(PLUGINS)
    (tmp_path / "device.yaml").write_text("device: test")
    device = read_device(tmp_path / "device.yaml")
    head = HEAD.replace("  score:", "  feat:  {transform: features}\n  score:")

    def check(stages: str, *sets: str) -> Plan | list[str]:
        file = tmp_path / "a.yaml"
        file.write_text(head + stages)
        try:
            [plan] = load([file], device=device, sets=sets)
        except ConfigError as error:
            return [
                f"{c.place.line - 7 if c.place and c.place.line else c.place.file if c.place else ''}:"
                f"{c.place.column if c.place else 0}: {c.problem} = {c.remedy}"
                for c in error.complaints
            ]
        return plan

    return check


def test_sinks_gates_and_keep_take_rules(plan: Any) -> None:
    made = plan(
        "  o: {output: say, from: score, when: ready and value > 2}\n"
        "  d: {action: do, from: eyes, when: 'count(\"person\") > 1'}\n"
        "  k: {transform: keep, from: eyes, when: area > 0.1}\n"
        "  g: {transform: gate, when: count > 2}\n"
    )
    assert isinstance(made, Plan), made
    assert made.stages["o"].when == Rule("ready and value > 2")
    assert made.stages["d"].when == Rule('count("person") > 1')
    assert made.stages["k"].options.model_dump()["when"] == "area > 0.1"
    assert isinstance(getattr(made.stages["k"].options, "when"), DetectionRule)  # noqa: B009 - any options
    assert made.stages["score"].when is None


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        (
            "  o: {output: say, from: score, when: scor > 2}",
            "1:39: stage 'o': when: a packet has no field 'scor' = did you mean 'score'?",
        ),
        (
            "  o: {output: say, from: score, when: ready and score > 2}",
            (
                "1:49: stage 'o': when: Score has no 'score' = Fields: "
                "lost, seq, epoch, origin, model, variant, rung, value, ready, progress, parts"
            ),
        ),
        (
            "  o:\n    output: say\n    from: score\n    when: >\n      ready\n      and values > 2",
            "6:11: stage 'o': when: 'values' needs a key = write values[\"...\"]",
        ),
        (
            "  d: {action: do, from: eyes, when: 'label == ''a'' and sco > 1'}",
            "1:57: stage 'd': when: a packet has no field 'sco' = did you mean 'score'?",
        ),
        (
            '  d: {action: do, from: eyes, when: "label == \\"a\\" and label > 1"}',
            "1:57: stage 'd': when: 'label' is a text, where a number is wanted = ",
        ),
        (
            "  k: {transform: keep, from: eyes, when: id > 1}",
            (
                "1:42: stage 'k': when: Detections has no 'id' = Fields: "
                "label, score, left, top, right, bottom, width, height, area, x, y"
            ),
        ),
        (
            "  k: {transform: keep, from: eyes, when: count > 1}",
            "1:42: stage 'k': when: a detection has no field 'count' = ",
        ),
        (
            "  g: {transform: gate, from: eyes, when: phase == 'new'}",
            "1:42: stage 'g': when: Detections has no 'phase' = ",
        ),
        (
            "  g: {transform: gate, from: news, rise_above: 2}",
            "1:36: stage 'g': rise_above reads Score, but 'news' gives Event = ",
        ),
        (
            "  g: {transform: gate, from: score, for_s: 2}",
            "1:3: stage 'g': give rise_above, or a rule with when, or both = ",
        ),
        (
            "  a: {transform: asking, from: score, if: count > 1}",
            "1:43: stage 'a': if: Score has no 'count' = ",
        ),
        (
            "  s: {source: eyes, when: count > 1}",
            "1:21: 'when' belongs to action stages and output stages, and 's' is none = remove it",
        ),
        (
            "  e: {transform: every, from: eyes, when: count > 1, nth: 2}",
            "1:37: transform 'every' has no option 'when'",
        ),
        (
            "  o: {output: say, when: true}",
            "1:26: stage 'o': when must be a rule, such as 'score > 0.6', not true",
        ),
        (
            "  o: {output: say, when: [value > 1]}",
            "1:26: stage 'o': when must be a rule, such as 'score > 0.6', not a list of 1",
        ),
        (
            "  o: {output: say, when: value > 1 # and ready\n  }",
            "",
        ),
        (
            "  o:\n    output: say\n    when: label == 'a #1'",
            "3:20: stage 'o': when: this text is not closed",
        ),
        (
            "  o: {output: say, from: score, when: max(value, 1) > 1}",
            "1:48: stage 'o': when: the rule ends where ')' should follow = inside { }",
        ),
        (
            "  o: {output: say, when: !ready}",
            "1:32: tags ('!...') are not used in configs = put text that starts with '!' in quotes",
        ),
        (
            '  o:\n    output: say\n    when: "a" == label',
            "3:15: this does not belong to what stands before it = put the whole value into quotes",
        ),
        (
            "  o:\n    output: say\n    when: > 5",
            "3:13: after '>' or '|' text begins on the next line = put text that starts with",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_line_and_column(
    plan: Any, stages: str, complaint: str
) -> None:
    found = plan(stages)
    if complaint:
        assert isinstance(found, list)
        assert found[0].startswith(complaint), found
    else:
        assert isinstance(found, Plan), found


def test_a_sink_of_several_stages_knows_the_fields_of_all(plan: Any) -> None:
    """A name must exist for at least one of them."""
    rule = "'kind == \"zone\" or value > 1'"
    assert isinstance(plan(f"  o: {{output: say, from: [news, score], when: {rule}}}"), Plan)

    found = plan(f"  o: {{output: say, from: [score, eyes], when: {rule}}}")

    assert len(found) == 1
    assert found[0].startswith("1:48: stage 'o': when: Score or Detections has no 'kind' = ")


def test_what_keep_and_gate_pass_on_keeps_its_type(plan: Any) -> None:
    made = plan(
        "  t: {transform: follow, from: eyes}\n"
        "  k: {transform: keep, label: person}\n"
        "  g: {transform: gate, when: count > 0}\n"
        "  l: {transform: keep, when: id > 1}\n"
    )
    assert isinstance(made, Plan), made


def test_set_changes_a_rule_and_is_checked_the_same(plan: Any) -> None:
    stage = "  o: {output: say, from: score, when: value > 1}"

    made = plan(stage, "o.when=value > 2")
    assert isinstance(made, Plan)
    assert made.stages["o"].when == Rule("value > 2")
    assert plan(stage, "o.when=ready and valu > 2") == [
        (
            "--set o.when=ready and valu > 2:0: stage 'o': when: a packet has no field 'valu' "
            "(character 11 of the rule) = did you mean 'value'?"
        )
    ]


def test_the_place_is_underlined(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "name: a\nstages:\n  s: {source: bearing}\n  f: {transform: features}\n"
        "  o: {output: console, when: 'values[\"x.rms\"] > 1 and valeu > 2'}\n"
    )
    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "a.yaml"], device=read_device())

    shown = render_all(raised.value.complaints).splitlines()
    assert shown[2].index("valeu") == shown[3].index("^^^^^")


def test_the_schema_knows_the_key_where_it_belongs() -> None:
    schema = pipeline_schema(Registry(None))

    def valid(stage: str) -> bool:
        text = f"name: a\nstages: {{s: {{source: bearing}}, x: {stage}}}"
        checker = jsonschema.Draft7Validator(schema)
        return checker.is_valid(plain(read(text.encode(), "a")))

    assert valid("{output: console, when: value > 1}")
    assert valid("{action: log, when: value > 1}")
    assert valid("{transform: gate, when: value > 1}")
    assert valid("{transform: keep, when: area > 0.1}")
    assert not valid("{output: console, when: 5}")
    assert not valid("{output: console, when: ''}")
    assert not valid("{transform: window, length_s: 1, when: value > 1}")


def test_an_output_takes_one_term_or_several(plan: Any) -> None:
    made = plan(
        "  o: {output: say, from: eyes, on_change: count, ttl_s: 60}\n"
        "  p: {output: say, from: [eyes, news], on_change: [label, 'count(\"dog\")', score > 0.5]}\n"
    )
    assert isinstance(made, Plan), made
    assert made.stages["o"].on_change == (Term("count"),)
    assert made.stages["o"].ttl_s == 60
    assert made.stages["p"].on_change == (Term("label"), Term('count("dog")'), Term("score > 0.5"))


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        (
            "  o: {output: say, from: eyes, on_change: cuont}",
            "1:43: stage 'o': on_change: a packet has no field 'cuont' = did you mean 'count'?",
        ),
        (
            "  o: {output: say, from: score, on_change: [ready, count]}",
            (
                "1:52: stage 'o': on_change: Score has no 'count' = Fields: "
                "lost, seq, epoch, origin, model, variant, rung, value, ready, progress, parts"
            ),
        ),
        (
            "  o: {output: say, from: score, on_change: [ready, parts]}",
            "1:52: stage 'o': item 2 of on_change: 'parts' needs a key = write parts[\"...\"]",
        ),
        (
            "  o: {output: say, from: score, ttl_s: 0}",
            "1:40: stage 'o': ttl_s must be a number greater than 0 and not greater than 31536000, not 0 = ",
        ),
        (
            "  d: {action: do, from: score, on_change: ready}",
            "1:32: 'on_change' belongs to output stages, and 'd' is none = remove it",
        ),
    ],
)
def test_a_wrong_term_is_placed_and_the_near_miss_is_offered(
    plan: Any, stages: str, complaint: str
) -> None:
    assert plan(stages) == [complaint]
