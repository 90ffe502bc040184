"""A rule as options and the runtime use it."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from edgeapp.core.context import Log
from edgeapp.core.link import AnyPacket
from edgeapp.core.payload import Detections, Payload
from edgeapp.document.words import did_you_mean
from edgeapp.rules.compiler import Test, compiled
from edgeapp.rules.fields import PACKETS, SINGLE, Scope, detection_rows
from edgeapp.rules.syntax import parse
from edgeapp.rules.tree import RuleError, name_of, parts, texts_of
from edgeapp.rules.types import check


class Rule:
    """A question about a packet, such as `value > 2 and ready`; docs/rules.md has the language.

    As the type of an option it is checked with the pipeline, against what really arrives.
    """

    __slots__ = ("_tests", "_tree", "text")

    scope: ClassVar[Scope] = PACKETS

    def __init__(self, text: str) -> None:
        """Parse a rule; check its names and types as far as that can be done alone.

        Raises:
            RuleError: it is wrong; says where (a ValueError).
        """
        self.text = text
        self._tree = parse(text)
        check(self._tree, self.scope)
        self._tests: dict[type, Test] = {}

    def check_for(self, payloads: Iterable[type]) -> None:
        """Check that each field exists in at least one of the payloads that arrive.

        Raises:
            RuleError: one does not; says which fields there are.
        """
        arriving = tuple(payloads)
        if any(payload is Payload for payload in arriving):
            return  # whatever may come
        known = {name: f for one in arriving for name, f in self.scope.fields(one).items()}
        for said in parts(self._tree):
            name = name_of(said)
            if name is not None and name not in known:
                what = " or ".join(one.__name__ for one in arriving)
                remedy = did_you_mean(name, known, heading="Fields")
                raise RuleError(f"{what} has no '{name}'", said.at, said.width, remedy)

    def test(self, payload: type) -> Test:
        """What answers this rule for packets with this payload; never raises."""
        test = self._tests.get(payload)
        if test is None:
            test = self._tests[payload] = compiled(self._tree, self.scope.fields(payload))
        return test

    def absent(self, value: Payload) -> list[tuple[str, tuple[str, ...]]]:
        """Keys and labels of the rule that no such payload will ever have, and those that it has."""
        fields = self.scope.fields(type(value))
        absent = []
        for part in parts(self._tree):
            name, texts = texts_of(part) or ("", ())
            field = fields.get(name)
            if field is not None and field.keys is not None:
                known = tuple(field.keys(value))
                absent += [(text, known) for text in texts if text not in known]
        return absent

    def __repr__(self) -> str:
        """The rule as it was written."""
        return f"{type(self).__name__}({self.text!r})"

    def __eq__(self, other: object) -> bool:
        """Equal when written the same."""
        return type(other) is type(self) and other.text == self.text

    def __hash__(self) -> int:
        """Of the text."""
        return hash(self.text)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Accept a rule as text, or ready-made."""
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            from_text,
            core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda rule: rule.text),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A text; `format` tells whoever explains options."""
        return {"type": "string", "format": "rule", "minLength": 1}


class DetectionRule(Rule):
    """A question about each detection of a picture, such as `score > 0.6 and area < 0.2`."""

    __slots__ = ()

    scope = SINGLE


class _Asking:
    """Asks a rule of one payload after another. For one thread.

    A key or a label that does not come is told once: it is likely a slip.
    """

    __slots__ = ("_log", "_rule", "_told")

    def __init__(self, rule: Rule, log: Log) -> None:
        self._rule = rule
        self._log = log
        self._told: set[str] = set()

    def _tell(self, value: Payload) -> None:
        for text, known in self._rule.absent(value):
            if text not in self._told:
                self._told.add(text)
                self._log.warning(
                    "the rule names what does not come",
                    rule=self._rule.text,
                    missing=text,
                    comes=", ".join(known),
                )


class Matcher(_Asking):
    """Asks a rule of packets."""

    __slots__ = ("_tests",)

    def __init__(self, rule: Rule, log: Log) -> None:
        super().__init__(rule, log)
        self._tests: dict[type, Test] = {}

    def __call__(self, packet: AnyPacket) -> bool:
        """Whether the rule is true of a packet. Never raises."""
        try:
            test = self._tests[type(packet.value)]
        except KeyError:
            test = self._tests[type(packet.value)] = self._rule.test(type(packet.value))
            self._tell(packet.value)
        return bool(test(packet))


class Chooser(_Asking):
    """Asks a rule of the detections of a picture."""

    __slots__ = ("_labels",)

    def __init__(self, rule: DetectionRule, log: Log) -> None:
        super().__init__(rule, log)
        self._labels: tuple[str, ...] | None = None

    def __call__(self, found: Detections) -> NDArray[np.bool_]:
        """Which detections the rule is true of: (n,) bool. Never raises."""
        if found.labels is not self._labels:
            self._labels = found.labels
            self._tell(found)
        test = self._rule.test(type(found))
        return np.fromiter((bool(test(row)) for row in detection_rows(found)), np.bool_, len(found))
