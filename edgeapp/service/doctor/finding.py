"""What a check found out, and what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgeapp.service.doctor.case import Case

Verdict = Literal["ok", "warning", "failed", "unseen"]
"""unseen: it could not be looked at; says why, and what would let it be seen."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    """What was looked at, such as "clock"."""
    verdict: Verdict
    said: str
    """What was found: a sentence without a full stop."""
    fix: str = ""
    """The command that puts it right, or what to do by hand; empty: nothing needs to be done."""

    def facts(self) -> dict[str, str]:
        """As plain data."""
        return asdict(self)


Check = Callable[["Case"], Iterator[Finding]]
"""Looks at one thing. May block for a few seconds, may raise OSError where it may not look."""


def ok(check: str, said: str) -> Finding:
    """All is as it should be."""
    return Finding(check, "ok", said)


def warning(check: str, said: str, fix: str = "") -> Finding:
    """It works, and will not do so for ever, or not as well as it could."""
    return Finding(check, "warning", said, fix)


def failed(check: str, said: str, fix: str = "") -> Finding:
    """Something does not work."""
    return Finding(check, "failed", said, fix)


def unseen(check: str, said: str, fix: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(check, "unseen", said, fix)
