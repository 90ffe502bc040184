"""Secrets that were read by this process, so that no log tells them.

The last line of defence: our own code never puts a secret into a sentence, but a plugin, a library
or a server's answer may.
"""

import json
import re
from base64 import b64encode
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters of what is hidden: shorter ones would be found in ordinary words."""
MOST = 256
"""Of secrets; the oldest are forgotten."""

_known: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def remember(secret: str) -> None:
    """Hide this from now on. Any thread."""
    global _pattern  # noqa: PLW0603  one for the process, as logs are
    lines = [line.strip() for line in secret.splitlines()]
    new = [line for line in lines if len(line) >= SHORTEST and line not in _known]
    if not new:
        return
    for line in new:
        _known[line] = None
    while len(_known) > MOST:
        del _known[next(iter(_known))]
    forms = {form for text in tuple(_known) for form in disguises(text)}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    _pattern = re.compile("|".join(map(re.escape, longest_first)))


def hidden(text: str) -> str:
    """The text with stars for every secret that was read. Any thread."""
    pattern = _pattern
    return text if pattern is None else pattern.sub("***", text)


def disguises(secret: str) -> tuple[str, ...]:
    """How a secret may be written: as it is, in an address, in JSON, in Python, in Base64, as hex."""
    data = secret.encode("utf-8", "surrogateescape")
    # The last characters of Base64 depend on what follows.
    encoded = b64encode(data).decode().rstrip("=")[:-1]
    safe = secret.encode("utf-8", "replace").decode()
    forms = (
        secret,
        quote(safe, ""),
        quote(safe),
        quote_plus(safe),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        encoded,
        data.hex(),
    )
    return tuple(form for form in dict.fromkeys(forms) if len(form) >= SHORTEST)
