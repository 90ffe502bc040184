"""What rules say, what they refuse and how, and what an undecided one does."""

from math import inf, nan

import numpy as np
import pytest
from pydantic import ValidationError

from edgeapp.api import (
    Chooser,
    DetectionRule,
    Detections,
    Event,
    Features,
    Image,
    Labels,
    Matcher,
    Options,
    Payload,
    Rule,
    Score,
    Tracks,
)
from edgeapp.rules.fields import PACKETS, SINGLE
from edgeapp.rules.syntax import MAX_DEPTH, MAX_LENGTH
from edgeapp.rules.tree import RuleError
from edgeapp.testing.stage import LogBook
from tests.rules.samples import (
    ANSWER,
    EVENT,
    FEATURES,
    FOUND,
    LEARNING,
    MASK,
    NOTHING,
    PICTURE,
    POSE,
    SCORE,
    TRACKS,
    VALUES,
    packet,
)


def answer(rule: str, value: Payload) -> bool | None:
    """True, false, or None where the packet does not say."""
    return Rule(rule).test(type(value))(packet(value))


def matches(rule: str, value: Payload) -> bool:
    """Whether a packet with this value matches."""
    return Matcher(Rule(rule), LogBook())(packet(value))


def refused(rule: str, cls: type[Rule] = Rule) -> RuleError:
    """What is said of a wrong rule."""
    with pytest.raises(RuleError) as raised:
        cls(rule)
    return raised.value


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("count == 3", FOUND),
        ('count("person") == 2 and count("dog") == 1 and count("cat") == 0', FOUND),
        ('label == "person" and score == 0.75', FOUND),
        ("count == 0", NOTHING),
        ("value > 1 and ready and progress == 1", SCORE),
        ("not ready and progress < 0.5", LEARNING),
        ('parts["t2"] == 4', SCORE),
        ('values["x.rms"] == 0.5', FEATURES),
        ('label == "dog" and score == 0.75 and scores["person"] == 0.25', ANSWER),
        ('areas["weeds"] == 0.75', MASK),
        ("x_m == 3 and y_m == 4 and z_m == 0 and distance_m == 5 and angle_deg > 89.9", POSE),
        ('label == "marker 7" and error_px <= 0.5', POSE),
        ('phase == "update" and kind == "zone" and label == "person" and duration_s == 8', EVENT),
        ('facts["zone"] == "door" and facts["dwell_s"] > 4 and facts["armed"]', EVENT),
        ('facts["steps"] in [1, 2, 3]', EVENT),
        ("lost == 2 and seq == 41 and epoch == 1 and rung == 1", PICTURE),
        ('origin == "cam" and model == "detector" and variant == "nano"', PICTURE),
    ],
)
def test_every_field_can_be_asked(rule: str, value: Payload) -> None:
    assert answer(rule, value) is True
    assert answer(f"not ({rule})", value) is False


@pytest.mark.parametrize(
    "rule",
    [
        "value == 1.5 or value / 0.5 == 1",
        "1 + 2 * 3 == 7 and (1 + 2) * 3 == 9",
        "10 - 2 - 3 == 5 and 12 / 2 / 3 == 2 and 7 % 4 == 3",
        "-value < 0 and --value > 0 and 2 - -1 == 3",
        "1 < value < 2 and not 1 < value < 1.4",
        "value in [1.5, -3] and value not in [1, 2]",
        "not value > 2 and value != 2",
        "false or true and not false",
        "True and not False",
        "abs(0 - value) == 1.5 and min(value, 1, 2) == 1 and max(value, 1) == 1.5",
        '"a" in ["a", "b"] and "a" != "b"',
        "ready == true and ready != false",
        ".5 < value and 15e-1 == value and 1. < value",
        "value > 1\n  and\tready",
        "'it' == \"it\" and '\"' == '\"'",
    ],
)
def test_the_language_reads_as_python_does(rule: str) -> None:
    """Precedence, chains and words: Python's own answer is the same."""
    python = rule.replace("true", "True").replace("false", "False").replace("\n", " ")

    assert answer(rule, SCORE) is True
    assert eval(python, {"value": 1.5, "ready": True}) is True


def test_what_a_packet_does_not_say_never_matches() -> None:
    """Not even turned round: it is unknown, as in SQL."""
    for rule in ('parts["no"] > 1', "value / (value - 1.5) > 1", "value % (value - 1.5) == 0"):
        assert answer(rule, SCORE) is None
        assert answer(f"not ({rule})", SCORE) is None
        assert not matches(f"not ({rule})", SCORE)
        assert answer(f"{rule} or ready", SCORE) is True
        assert answer(f"ready or {rule}", SCORE) is True
        assert answer(f"{rule} and not ready", SCORE) is False
        assert answer(f"not ready and {rule}", SCORE) is False
        assert answer(f"{rule} and ready", SCORE) is None


def test_what_is_no_number_equals_nothing_and_differs_from_nothing() -> None:
    for value in (nan, None, "4", True):
        score = Score(value)  # type: ignore[arg-type]  # what a plugin should not do
        for rule in ("value > 1", "value < 1", "value == 1", "value != 1", "value in [1, 2]"):
            assert answer(rule, score) is None
    assert answer("max(value, 2) > 1", Score(nan)) is None
    assert answer("min(2, value) > 1", Score(nan)) is None


def test_numbers_of_numpy_and_whole_numbers_are_numbers() -> None:
    assert answer("value == 2", Score(2))
    assert answer("value == 2", Score(np.float32(2)))  # type: ignore[arg-type]  # as plugins do
    assert answer("value * 1e308 * 10 > 5 and not value * 1e308 * 10 < 5", Score(2.0))
    assert answer("value > 5", Score(10**400)) is None
    assert answer("value > 5", Score(inf)) is True


def test_texts_of_numpy_are_texts() -> None:
    """As a label of an array of names is one."""
    labels = Labels(np.array([1.0], np.float32), (np.str_("dog"),))
    assert matches('label == "dog" and label != "cat" and label in ["dog"]', labels)
    assert not matches('label == "cat" or label != "dog"', labels)


def test_facts_are_what_they_are_compared_with() -> None:
    assert answer('facts["zone"] > 1', EVENT) is None
    assert answer('facts["dwell_s"] == "4.5"', EVENT) is None
    assert answer('facts["armed"] == 1', EVENT) is None
    assert answer('facts["dwell_s"]', EVENT) is None
    assert answer('facts["dwell_s"] + 1 == 5.5', EVENT) is True


def test_nothing_found_has_no_best() -> None:
    assert answer("score > 0", NOTHING) is None
    assert answer('label != "cat"', NOTHING) is None


def test_a_label_that_no_class_has_is_unknown() -> None:
    strange = Detections(FOUND.xyxy, FOUND.scores, np.array([5, -1, 0], np.int32), ("person",))
    assert answer('label == "person"', strange) is None
    ask = Chooser(DetectionRule('label == "person"'), LogBook())
    assert ask(strange).tolist() == [False, False, True]


def test_a_field_that_another_payload_has_is_unknown_here() -> None:
    """So one rule serves a sink that reads two stages."""
    rule = Rule('kind == "zone" or value > 1')
    ask = Matcher(rule, LogBook())
    assert [ask(packet(value)) for value in (EVENT, SCORE, LEARNING)] == [True, True, False]


def test_single_detections_are_asked_for_edges_and_tracks_for_their_number() -> None:
    def chosen(rule: str, found: Detections) -> list[bool]:
        return [bool(one) for one in Chooser(DetectionRule(rule), LogBook())(found)]

    assert chosen('label == "person" and score > 0.5', FOUND) == [True, False, False]
    assert chosen("0.2 < area < 0.5", FOUND) == [True, False, False]
    assert chosen("width > 0.3 and height > 0.5", FOUND) == [True, False, True]
    assert chosen("x == 0.5 and y == 0.5", FOUND) == [False, False, True]
    assert chosen("left >= 0.5 and top >= 0.5", FOUND) == [False, True, False]
    assert chosen("right == 1 or bottom < 0.7", FOUND) == [False, True, True]
    assert chosen("id in [7, 9]", TRACKS) == [True, False, True]
    assert chosen("id > 0", FOUND) == [False, False, False]
    assert chosen("score > 0", NOTHING) == []


@pytest.mark.parametrize(
    ("rule", "column", "said"),
    [
        ("", 1, "ends"),
        ("value", 1, "a number, where true or false"),
        ("value >", 8, "ends"),
        ("value > 1 and", 14, "ends"),
        ("valu > 1", 1, "no field 'valu'"),
        ("ready and lable == 'x'", 11, "no field 'lable'"),
        ("value = 1", 7, "'='"),
        ("value => 1", 7, "'='"),
        ("value > 1 && ready", 11, "'&'"),
        ("value > 1 || ready", 11, "'|'"),
        ("!ready", 1, "'!'"),
        ("value ** 2 > 1", 7, "no power"),
        ("value // 2 > 1", 7, "'//'"),
        ("value / 0 > 1", 7, "divides by zero"),
        ("value % (1 - 1) > 1", 7, "divides by zero"),
        ("value > 1e999", 9, "too large"),
        ("value > 1e300 * 1e300", 15, "too large"),
        ("value > 1_000", 9, "no number"),
        ("value > 0x10", 9, "no number"),
        ("value > 1.2.3", 9, "no number"),
        ("value > " + "1" * 31, 9, "30 digits"),
        ('value > "1"', 9, "a text, where a number"),
        ("label == 1", 7, "never equal"),
        ("label < 'b'", 1, "a text, where a number"),
        ("label + 'b' == 'ab'", 1, "a text, where a number"),
        ("'a' * 99999 == 'b'", 1, "a text, where a number"),
        ("'%s' % value == 'b'", 1, "a text, where a number"),
        ("ready + 1 > 1", 1, "true or false, where a number"),
        ("not value", 5, "a number, where true or false"),
        ("(value > 1", 11, "')'"),
        ("value > 1)", 10, "'and' or 'or'"),
        ("value > 1 ready", 11, "'and' or 'or'"),
        ("value in 1", 10, "a list"),
        ("value in []", 11, "a number or a text"),
        ("value in [1, 'a']", 14, "a text, where a number"),
        ("value in [ready]", 11, "a number or a text"),
        ("value not 1", 11, "'in'"),
        ("label in ['a', 'b'", 19, "']'"),
        ('label == "a', 10, "not closed"),
        ("values > 1", 1, "needs a key"),
        ("values[1] > 1", 8, "a key in quotes"),
        ('value["a"] > 1', 1, "no keys"),
        ('count("a", "b") > 1', 1, "count() takes one text"),
        ("count(value) > 1", 1, "count() takes one text"),
        ("count() > 1", 7, "a field, a number or a text"),
        ("min(value) > 1", 1, "several numbers"),
        ("abs(1, 2) > 1", 1, "one number"),
        ("abs > 1", 1, "no field 'abs'"),
        ("round(value) > 1", 1, "no function 'round'"),
        ('facts["a"] == facts["b"]', 12, "two facts"),
        ("größe > 1", 1, "letters a to z"),
        ("value \N{GREATER-THAN OR EQUAL TO} 1", 7, "not part of rules"),
        ("value > 1; ready", 10, "not part of rules"),
        ("value\0 > 1", 6, "U+0000"),
        ("(" * (MAX_DEPTH + 1) + "ready", MAX_DEPTH + 1, "levels deep"),
        ("not " * (MAX_DEPTH + 1) + "ready", 4 * MAX_DEPTH + 1, "levels deep"),
        ("-" * (MAX_DEPTH + 1) + "value > 1", MAX_DEPTH + 1, "levels deep"),
        ("ready and " * 200, MAX_LENGTH + 1, "1000 characters"),
        ("1+" * 150 + "1 > value", 201, "200 words"),
    ],
)
def test_what_is_wrong_is_said_with_its_column(rule: str, column: int, said: str) -> None:
    error = refused(rule)
    assert (error.offset + 1, said in error.problem) == (column, True), str(error)


@pytest.mark.parametrize(
    "rule",
    [
        # simpleeval's and asteval's advisories, and what sandboxes of Python are opened with
        "().__class__.__bases__[0].__subclasses__()",
        "value.__class__",
        "value.__class__.__mro__[-1].__subclasses__()[80].__init__.__globals__",
        "''.__class__.__mro__[1].__subclasses__()",
        "'{0.__class__.__init__.__globals__}'.format(value) == ''",
        "f'{value.__class__}' == ''",
        "f\"{dict.mro()[1]:'s}\" == ''",
        "__import__('os').system('true') == 0",
        "getattr(value, '__class__') == value",
        "(lambda: value)() > 1",
        "(x := value) > 1",
        "[x for x in [1]] == 1",
        "[value for value in ().__class__.__base__.__subclasses__()]",
        "{value: 1}[1] > 1",
        "9 ** 9 ** 9 ** 9 > 1",
        "'a' * 10000000000 == 'a'",
        "1 << 99999999999 > 1",
        "*value > 1",
        "value if ready else 1 > 0",
        "await value",
        "yield value",
        "eval('1') > 1",
        "exec('import os') == 1",
        "open('/etc/passwd') == 1",
        "print(1) == 1",
        "numpy.load('x') == 1",
        "__builtins__ == 1",
        "type(value) == 1",
        "globals()['x'] == 1",
        "facts[facts['x']] == 1",
        'facts["x"]["y"] == 1',
        'facts["__class__"].__name__ == "a"',
        "value@value > 1",
        "~value > 1",
        "`value` == 1",
        "value is 1",
        "ready; ready",
        "ready\\\n",
        "b'a' == 'a'",
        "u'a' == 'a'",
        "'a' 'b' == 'ab'",
        "1j == value",
        "... == value",
        "None == value",
        "\N{MATHEMATICAL BOLD SMALL V}alue > 1",
    ],
)
def test_ways_out_of_other_sandboxes_are_no_rules(rule: str) -> None:
    error = refused(rule)
    assert 0 <= error.offset <= len(rule)


def test_the_remedy_is_the_near_miss_or_the_sign_to_write() -> None:
    assert refused("scor > 1").remedy == "did you mean 'score'?"
    assert refused("score = 1").remedy == "write '==' to compare"
    assert refused("score > 1 && ready").remedy == "write 'and'"
    assert "area, x, y, id" in refused("qqq > 1", DetectionRule).remedy
    assert refused("ready > 1", DetectionRule).problem == "a detection has no field 'ready'"


def test_a_wrong_rule_says_itself_where_and_what_to_do() -> None:
    """For whoever builds options by hand, without a file."""
    assert str(refused("ready && ready")) == (
        "'&' is not part of rules (character 7 of the rule); write 'and'"
    )


class WithRule(Options):
    """Options with a rule."""

    when: Rule | None = None


def test_options_take_a_rule_as_text_or_ready_made_and_refuse_a_wrong_one() -> None:
    assert WithRule.model_validate({"when": "value > 1"}).when == Rule("value > 1")
    assert WithRule(when=Rule("value > 1")) == WithRule.model_validate({"when": "value > 1"})
    assert WithRule(when=Rule("ready")).model_dump_json() == '{"when":"ready"}'
    with pytest.raises(ValidationError, match="did you mean 'value'"):
        WithRule.model_validate({"when": "valu > 1"})
    with pytest.raises(ValidationError):
        WithRule.model_validate({"when": 5})


def test_rules_are_equal_when_written_the_same() -> None:
    assert Rule("ready") == Rule("ready") != Rule("value > 1")
    assert Rule("score > 1") != DetectionRule("score > 1")
    assert len({Rule("ready"), Rule("ready"), Rule("value > 1")}) == 2
    assert repr(Rule("ready")) == "Rule('ready')"


def test_each_name_must_exist_in_some_payload_that_arrives() -> None:
    rule = Rule('kind == "zone" or value > 1')
    rule.check_for([Score, Event])
    rule.check_for([Payload])
    with pytest.raises(RuleError, match="Score has no 'kind'"):
        rule.check_for([Score])
    with pytest.raises(RuleError, match="Image or Score has no 'kind'"):
        rule.check_for([Image, Score])
    Rule('count("a") > 1').check_for([Tracks])
    with pytest.raises(RuleError, match="Labels has no 'count'") as raised:
        Rule('score > 1 or count("a") > 1').check_for([Labels])
    assert raised.value.offset == 13
    DetectionRule("id > 1").check_for([Tracks])
    with pytest.raises(RuleError, match="Detections has no 'id'"):
        DetectionRule("id > 1").check_for([Detections])


def test_a_key_that_does_not_come_is_told_once() -> None:
    log = LogBook()
    ask = Matcher(Rule('values["x.rsm"] > 1 or values["x.rms"] > 1'), log)

    assert [ask(packet(FEATURES)) for _ in range(3)] == [False, False, False]
    assert [facts for _, _, facts in log.events] == [
        {
            "rule": 'values["x.rsm"] > 1 or values["x.rms"] > 1',
            "missing": "x.rsm",
            "comes": "x.rms, x.peak",
        }
    ]


def test_a_label_that_the_model_does_not_know_is_told_once() -> None:
    log = LogBook()
    for rule in ('label == "persn"', 'label in ["dog", "cat"]', '"cow" != label'):
        ask = Chooser(DetectionRule(rule), log)
        ask(FOUND)
        ask(TRACKS)
    Matcher(Rule('count("pig") > 0 and label == "person"'), log)(packet(FOUND))
    Matcher(Rule('label == "hen"'), log)(packet(ANSWER))
    assert [facts["missing"] for *_, facts in log.events] == ["persn", "cat", "cow", "pig", "hen"]
    assert log.events[0][2]["comes"] == "person, dog"


def test_facts_may_come_and_go_without_a_word() -> None:
    log = LogBook()
    Matcher(Rule('facts["no"] == 1'), log)(packet(EVENT))
    assert log.events == []


def test_other_features_under_the_same_rule_are_found_again() -> None:
    ask = Matcher(Rule('values["x.rms"] > 1'), LogBook())
    other = Features(np.array([0.0, 2.0]), ("y.rms", "x.rms"), ("1", "1"))
    assert [ask(packet(value)) for value in (FEATURES, other, FEATURES)] == [False, True, False]


def test_a_word_means_the_same_kind_of_thing_in_every_payload() -> None:
    """So that types can be checked before it is known what arrives."""
    for scope in (PACKETS, SINGLE):
        kinds: dict[str, str] = {}
        for table in scope.tables.values():
            for name, field in table.items():
                assert kinds.setdefault(name, field.kind) == field.kind, name
                assert field.about
                assert field.read or field.at


def test_every_field_of_every_payload_can_be_read_from_every_packet() -> None:
    """What it gives is of the field's kind, or says that it is unknown."""
    kinds = {"number": float, "text": str | None, "truth": bool | None}
    for value in VALUES:
        for name, field in PACKETS.fields(type(value)).items():
            reads = [field.read, *(of("x") for of in (field.at, field.of) if of)]
            for read in filter(None, reads):
                got = read(packet(value))
                assert field.kind == "any" or isinstance(got, kinds[field.kind]), name
