"""Takes secrets out of text for strangers, and looks whether any is left, however it is written."""

import re
from collections.abc import Iterable

from edgeapp.core.revealed import disguises

STARS = "***"
ANYWHERE = 4
"""Secrets of so many characters are found within words, too; shorter ones as words alone."""
_SURE = 12
"""Of so many characters, also where it is broken into lines."""
_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_BEARER = re.compile(r"(?i)\b(bearer|basic|digest)\s+[A-Za-z0-9+/_=.~-]{8,}")
_VARIABLE = re.compile(
    r"(?i)\b((?:[a-z0-9]+_+)*(?:pass(?:word|wd|phrase)?|secret|token|credentials?|api_?key|key))=(?!cred:|env:)\S+"
)
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WRITTEN = re.compile(
    r":/{1,2}(?P<login>[^\s/@:]+:[^\s/@]+)@"
    r"|(?<![^\s{,\"'])(?P<pair>[^\s/:@{,\"']+:[^\s/:@\"']+)@"
    r"|(?i:password|passwd|passphrase|secret|token|api_?key)[\w.-]*[\"']?\s*[:=]\s*[\"']?"
    r"(?P<value>(?!cred:|env:|\*\*\*)[^\s\"',}#]{4,})"
)


def written_in(text: str) -> frozenset[str]:
    """What looks like a secret in a file that people write: logins of addresses, and passwords."""
    found: set[str] = set()
    for match in _WRITTEN.finditer(text):
        login = match["login"] or match["pair"]
        if login:
            found |= {login, login.partition(":")[2]}
        else:
            found.add(match["value"])
    return frozenset(found)


class Redaction:
    """Knows the secrets of this device, as far as they could be read."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Prepare; a secret of several lines, such as a key, is known by each of them."""
        lines = {line.strip() for one in secrets for line in (one, *one.splitlines())}
        self.secrets = frozenset(line for line in lines if line and not line.startswith("-----"))
        forms = {
            form
            for secret in self.secrets
            for form in disguises(secret, min(ANYWHERE, len(secret)))
        }
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(_pattern, longest_first))) if forms else None
        sure = [form for form in longest_first if len(form) >= _SURE]
        self._sure = re.compile("|".join(map(re.escape, sure))) if sure else None

    def clean(self, text: str) -> str:
        """The text without secrets: those that are known, and what looks like one."""
        text = _KEY.sub(STARS, text)
        if self._known is not None:
            text = self._known.sub(STARS, text)
        text = _BEARER.sub(rf"\1 {STARS}", text)
        text = _VARIABLE.sub(rf"\1={STARS}", text)
        text = _WRITTEN.sub(_starred, text)
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)

    def leaks(self, text: str) -> bool:
        """Whether a secret that is known is in a text, also broken into lines."""
        if self._known is not None and self._known.search(text):
            return True
        return self._sure is not None and self._sure.search(_SPACE.sub("", text)) is not None


def _starred(match: re.Match[str]) -> str:
    """A match with stars for the one of its groups that is secret."""
    begin, end = match.span(match.lastgroup or 0)
    return f"{match[0][: begin - match.start()]}{STARS}{match[0][end - match.start() :]}"


def _pattern(form: str) -> str:
    quoted = re.escape(form)
    return quoted if len(form) >= ANYWHERE else rf"(?<!\w){quoted}(?!\w)"
