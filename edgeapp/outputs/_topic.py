"""The topic of an output, as an option."""

import re
from typing import Annotated

from pydantic import AfterValidator

_MAX_TOPIC = 200
_RESERVED = re.compile(
    r"status|config|gap|health|outbox|reply|(.*/)?set|[^/]+/state"
    r"|[^/]+/[^/]+/(variant|settings|silent|snapshot)"
)
_ODD = re.compile(r"[+#]|[\x00-\x1f\x7f-\x9f]|[\ud800-\udfff]|[\ufdd0-\ufdef]")


def _checked(topic: str) -> str:
    if not topic or topic.startswith("/") or topic.endswith("/") or "//" in topic:
        raise ValueError("a topic has no empty level: write it as in 'door/people'")
    if len(topic) > _MAX_TOPIC:
        raise ValueError(f"a topic is at most {_MAX_TOPIC} characters long")
    if _ODD.search(topic):
        raise ValueError("a topic to publish to has no '+', '#' or control characters")
    if topic.startswith("$") or _RESERVED.fullmatch(topic):
        raise ValueError(f"'{topic}' is reserved: choose another topic")
    return topic


Topic = Annotated[str, AfterValidator(_checked)]
"""A topic below `<prefix>/<device>/` that is not the device's own."""
