"""What a stage needs of the machine: whoever closes the machine to it has to leave that open."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from edgeapp.core.secret import Secret

ANYWHERE = "*"
"""As a host: it is not known before, or changes."""
_NOT_DEVICES = re.compile(r"/dev/(null|zero|full|u?random|tty|console|std\w+|(fd|shm|pts)(/.*)?)?")
_CREDENTIAL = re.compile(r"cred:([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class Needs:
    """What options name of the machine and of its surroundings."""

    nodes: frozenset[str] = frozenset()
    """Device nodes, such as /dev/video0; `*` stands for any characters."""
    hosts: frozenset[str] = frozenset()
    """Names and addresses of hosts that it connects to; `ANYWHERE`: nobody knows which."""
    credentials: frozenset[str] = frozenset()
    """Names of secrets that are given as `cred:name`."""
    reads: frozenset[Path] = frozenset()
    """Files and folders that it reads. Absolute."""
    writes: frozenset[Path] = frozenset()
    """Files and folders that it writes. Absolute."""

    def __or__(self, other: "Needs") -> "Needs":
        """What one or the other needs."""
        return Needs(
            self.nodes | other.nodes,
            self.hosts | other.hosts,
            self.credentials | other.credentials,
            self.reads | other.reads,
            self.writes | other.writes,
        )


@runtime_checkable
class _Needy(Protocol):
    def needs(self) -> Needs: ...


def needs_of(value: object) -> Needs:
    """What a value names, or what is in it: paths of devices, addresses, references to secrets."""
    if isinstance(value, _Needy):
        return value.needs()
    if isinstance(value, Secret):
        name = value.credential
        return Needs() if name is None else Needs(credentials=frozenset({name}))
    if isinstance(value, str | Path):
        return _named(str(value))
    if isinstance(value, Mapping):
        return all_needs(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return all_needs(value)
    return Needs()


def all_needs(values: Iterable[object]) -> Needs:
    """What several values name."""
    found = Needs()
    for value in values:
        found |= needs_of(value)
    return found


def _named(text: str) -> Needs:
    if text.startswith("/dev/"):
        return Needs() if _NOT_DEVICES.fullmatch(text) else Needs(nodes=frozenset({text}))
    if match := _CREDENTIAL.fullmatch(text):
        return Needs(credentials=frozenset({match[1]}))
    if "://" in text:
        try:
            host = urlsplit(text).hostname
        except ValueError:
            host = None
        if host:
            return Needs(hosts=frozenset({host}))
    return Needs()
