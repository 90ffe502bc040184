"""Where a broker is and where topics begin, as options: refused here, not when first connected."""

import re
from typing import Annotated

from pydantic import AfterValidator

_ODD_IN_HOST = re.compile(r"[^\w.:%-]")
_LONGEST_HOST = 253
_LONGEST_LEVELS = 128


def _host(text: str) -> str:
    # What was given is not repeated: in an address with a login stands a password.
    if "/" in text or "@" in text:
        raise ValueError(
            "only the name or address of the broker, as in 'broker.example'; the port, TLS and the "
            "login are options of their own: port, tls, username, password"
        )
    if len(text) > _LONGEST_HOST or _ODD_IN_HOST.search(text):
        raise ValueError("this cannot be the name or address of a host, such as 'broker.example'")
    if text.count(":") == 1:
        name, _, port = text.partition(":")
        raise ValueError(f"the port is an option of its own: write host: {name} and port: {port}")
    return text


def _levels(text: str) -> str:
    if "" in text.split("/"):
        raise ValueError("a topic has no empty level: write it as in 'plant/hall-2'")
    if re.search(r"[+#\s]", text):
        raise ValueError("a topic to publish to has no '+', '#' or spaces")
    if text.startswith("$"):
        raise ValueError("what begins with '$' is the broker's own: choose another topic")
    if len(text) > _LONGEST_LEVELS:
        raise ValueError(f"the first levels of topics have at most {_LONGEST_LEVELS} characters")
    return text


Host = Annotated[str, AfterValidator(_host)]
"""The name or address of a host, without a port."""
Levels = Annotated[str, AfterValidator(_levels)]
"""The first levels of topics."""
