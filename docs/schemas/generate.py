# ruff: noqa: INP001 - a script, in no package
"""Writes the JSON Schemas of all messages: run `.venv/bin/python docs/schemas/generate.py`."""

import json
from pathlib import Path

from edgeapp.cli.schema import message_schemas

FOLDER = Path(__file__).parent


def texts() -> dict[str, str]:
    """The text of each schema file, by file name."""
    return {
        f"{name}.json": json.dumps(schema, indent=2) + "\n"
        for name, schema in message_schemas().items()
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
