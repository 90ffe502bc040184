"""What rules and terms have in common: a text in the language, read once and checked in two steps."""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from edgeapp.core.payload import Payload
from edgeapp.document.words import did_you_mean
from edgeapp.rules.fields import PACKETS, Scope
from edgeapp.rules.syntax import parse
from edgeapp.rules.tree import RuleError, name_of, parts, texts_of


class Written:
    """A text in the language of rules; docs/rules.md has it. Equal when written the same."""

    __slots__ = ("_tree", "text")

    scope: ClassVar[Scope] = PACKETS

    def __init__(self, text: str) -> None:
        """Parse it.

        Raises:
            RuleError: it is wrong; says where (a ValueError).
        """
        self.text = text
        self._tree = parse(text)

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

    def absent(self, value: Payload) -> list[tuple[str, tuple[str, ...]]]:
        """Keys and labels of it that no such payload will ever have, and those that it has."""
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
        """As it was written."""
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
        """Accept text, or one that is ready-made."""
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            from_text,
            core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda one: one.text),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A text; `format` tells whoever explains options."""
        return {"type": "string", "format": "rule", "minLength": 1}
