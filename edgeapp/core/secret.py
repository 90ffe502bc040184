"""Secrets by reference: a config names where a secret is, never what it is."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from edgeapp.core.revealed import remember
from edgeapp.errors import Unavailable

MOST_BYTES = 64 * 1024
"""Of a secret in a file."""
_REFERENCE = re.compile(r"(cred|env):([A-Za-z0-9_.-]+)")


class Secret:
    """A reference to a secret: `cred:name` (a systemd credential) or `env:NAME`.

    Prints as `***`, whatever happens.
    """

    __slots__ = ("_name", "_where")

    def __init__(self, reference: str) -> None:
        """Parse a reference.

        Raises:
            ValueError: it is not a reference; the text is not repeated, it may be the secret.
        """
        match = _REFERENCE.fullmatch(reference)
        if not match:
            raise ValueError(
                "a secret is given by reference, as 'cred:name' (a file of that name in "
                "$CREDENTIALS_DIRECTORY) or 'env:NAME' (an environment variable)"
            )
        self._where, self._name = match[1], match[2]

    @property
    def credential(self) -> str | None:
        """The name of the systemd credential that it is; None: an environment variable."""
        return self._name if self._where == "cred" else None

    def reveal(self, environment: Mapping[str, str] | None = None, *, hide: bool = True) -> str:
        """Read the secret now. `hide`: from now on also in what others say; a name may be a word.

        Raises:
            Unavailable: it is not there; names the reference.
        """
        text = self._read(os.environ if environment is None else environment)
        if hide:
            remember(text)
        return text

    def _read(self, environment: Mapping[str, str]) -> str:
        if self._where == "env":
            if self._name in environment:
                return environment[self._name]
            raise Unavailable(f"the environment variable {self._name} is not set")
        folder = environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise Unavailable(
                f"credential '{self._name}' cannot be read: $CREDENTIALS_DIRECTORY is not set; "
                "it is a folder with a file of that name, which the unit of a service sets"
            )
        file = Path(folder) / self._name
        try:
            with open(file, "rb", opener=_without_waiting) as opened:
                data = opened.read(MOST_BYTES + 1)
            text = data.decode("utf-8").rstrip("\r\n")
        except OSError as error:
            problem = error.strerror or str(error)
        except UnicodeDecodeError:
            problem = "it is not UTF-8 text"
        else:
            if text and len(data) <= MOST_BYTES:
                return text
            # The service is given an empty one for a file that is not there, so that it starts.
            problem = f"it has more than {MOST_BYTES:,} bytes" if text else "it is empty"
        raise Unavailable(f"credential '{self._name}' cannot be read from '{file}': {problem}")

    def __repr__(self) -> str:
        """Never the secret, nor where it is."""
        return "***"

    def __eq__(self, other: object) -> bool:
        """Equal when they refer to the same place."""
        return isinstance(other, Secret) and (self._where, self._name) == (
            other._where,
            other._name,
        )

    def __hash__(self) -> int:
        """Of the reference."""
        return hash((self._where, self._name))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Accept a reference as text; print as `***`."""
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "***"),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A text that is a reference; `format` tells whoever explains options."""
        return {"type": "string", "format": "secret", "pattern": f"^({_REFERENCE.pattern})$"}


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe that nobody writes to would last for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
