"""Secrets that were read by this process, so that no log tells them.

The last line of defence: our own code never puts a secret into a sentence, but a plugin, a library
or a server's answer may.
"""

import json
import re
from base64 import b64encode
from threading import Lock
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters of what is hidden: shorter ones would be found in ordinary words."""
MOST = 256
"""Of secrets; the oldest are forgotten."""

_known: dict[str, frozenset[str]] = {}
"""Each secret, with how it may be written."""
_pattern: re.Pattern[str] | None = None
"""Finds all of them; None: it is made anew when it is needed, since that takes milliseconds."""
_lock = Lock()


def remember(secret: str) -> None:
    """Hide this from now on. Any thread."""
    global _pattern  # noqa: PLW0603  one for the process, as logs are
    lines = [line.strip() for line in secret.splitlines()]
    new = [line for line in lines if len(line) >= SHORTEST and line not in _known]
    if not new:
        return
    forms = {line: disguises(line) for line in new}
    with _lock:
        _known.update(forms)
        while len(_known) > MOST:
            del _known[next(iter(_known))]
        _pattern = None


def hidden(text: str) -> str:
    """The text with stars for every secret that was read. Any thread."""
    if not _known:
        return text
    return (_pattern or _made()).sub("***", text)


def _made() -> re.Pattern[str]:
    global _pattern  # noqa: PLW0603  one for the process, as logs are
    with _lock:
        if _pattern is None:
            forms = frozenset().union(*_known.values())
            longest_first = sorted(forms, key=lambda form: (-len(form), form))
            _pattern = re.compile("|".join(map(re.escape, longest_first)))
        return _pattern


def disguises(secret: str, shortest: int = SHORTEST) -> frozenset[str]:
    """How a secret may be written: as it is, escaped, in an address, in Base64 of more than itself.

    Forms of fewer characters than `shortest` are left out.
    """
    from html import escape  # only where there are secrets

    data = secret.encode("utf-8", "surrogateescape")
    safe = secret.encode("utf-8", "replace").decode()
    forms = {secret, quote(safe, ""), quote(safe), quote_plus(safe), repr(secret)[1:-1]}
    forms |= {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    forms |= {escape(secret), secret.replace("'", "'\"'\"'")}  # as HTML, and as shells quote it
    forms |= {data.hex(), data.hex().upper(), "".join(f"\\x{byte:02x}" for byte in data)}
    forms |= {"".join(f"%{byte:02{case}}" for byte in data) for case in "xX"}
    for before in range(3):
        # Of three bytes that become four characters only those are sure that are all its own.
        whole = b64encode(b"\0" * before + data).decode().rstrip("=")
        first, last = (0, 2, 3)[before], (before + len(data)) % 3
        inner = whole[first : len(whole) - (1 if last else 0)]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return frozenset(form for form in forms if len(form) >= shortest)
