"""Loads what may end a process by itself: wheels and models. Run as a program, by the doctor.

`python -m edgeapp.service.doctor.loading imports NAME...` or `... models FILE...` prints a line of
JSON for each as it goes, with `what` and `problem`, which is empty where all is well.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path


def load(kind: str, names: Sequence[str]) -> None:
    """Load each in turn, and print what became of it at once: the next may be the last."""
    for name in names:
        try:
            if kind == "models":
                from edgeapp.models.session import inspect

                inspect(Path(name))
            else:
                importlib.import_module(name)
            problem = ""
        except Exception as error:  # noqa: BLE001  wheels raise whatever they like
            problem = str(error).strip().partition("\n")[0] or repr(error)
        sys.stdout.write(json.dumps({"what": name, "problem": problem}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    load(sys.argv[1], sys.argv[2:])
