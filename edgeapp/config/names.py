"""Names that become topic levels, folders and metric labels."""

import re

from edgeapp.document.tree import shortened

MAX_NAME = 64
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RESERVED = frozenset({"gap", "governor", "outbox", "reply", "set", "state", "status"})
"""Topic levels with a meaning of their own: what a device says of itself, and what it is told."""

RULE = "lower-case letters, digits, '-' and '_', beginning with a letter or digit"


def sanitised(text: str) -> str:
    """The nearest thing to `text` that is a name; empty when nothing is left."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:MAX_NAME]


def problem_with(name: str) -> tuple[str, str] | None:
    """Problem and remedy when `name` cannot be used; None when it can."""
    shown = shortened(name)
    if name in RESERVED:
        return f"the name '{shown}' is taken by the framework", "choose another"
    if len(name) > MAX_NAME:
        return f"the name '{shown}' is longer than {MAX_NAME} characters", "shorten it"
    if ":" in name:
        key = sanitised(name.partition(":")[0])
        remedy = f"write '{key}: ...', with a space after the ':'" if key else "choose another"
        return f"'{shown}' cannot be a name: names are {RULE}", remedy
    if not NAME.fullmatch(name):
        near = sanitised(name)
        remedy = f"write '{near}'" if near and near not in RESERVED else "choose another"
        return f"'{shown}' cannot be a name: names are {RULE}", remedy
    return None
