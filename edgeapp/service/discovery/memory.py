"""What Home Assistant was told, over restarts: so that it can be taken back."""

from pathlib import Path

import msgspec

from edgeapp.core.whole_file import write_whole
from edgeapp.service.discovery.payload import Known
from edgeapp.service.discovery.results import Names

FILE = "discovery.json"
_LARGEST = 1024 * 1024
_MOST_GONE = 100


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    pipeline: str
    output: str
    features: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] = ()


class Memory(msgspec.Struct, kw_only=True):
    """What is remembered in the data directory."""

    topic: str | None = None
    """Where the device is announced; None: nowhere."""
    components: dict[str, str] = {}
    """The platform of each component that was announced, by id."""
    vanished: dict[str, str] = {}
    """Those that are no more, until their removal was there for long enough to be seen."""
    gone: list[str] = []
    """Topics that are to be emptied, until they are."""
    told: list[_Told] = []
    """What packets told of names."""

    def known(self) -> Known:
        """The names that packets told, by pipeline and output."""
        return {(one.pipeline, one.output): Names(one.features, one.labels) for one in self.told}

    def learn(self, known: Known) -> None:
        """Keep the names that packets told."""
        self.told = [
            _Told(pipeline=pipeline, output=output, features=names.features, labels=names.labels)
            for (pipeline, output), names in known.items()
        ]

    def move(self, topic: str | None) -> None:
        """Announce elsewhere, or no more: what is on the topic so far is to be emptied."""
        if self.topic is not None and self.topic != topic:
            self.gone = [*dict.fromkeys([*self.gone, self.topic])][-_MOST_GONE:]
            self.components, self.vanished = {}, {}
        self.gone = [one for one in self.gone if one != topic]
        self.topic = topic


def read_memory(data_dir: Path) -> Memory:
    """What is remembered; nothing where there is no file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged.
    """
    file = data_dir / FILE
    try:
        with file.open("rb") as handle:
            text = handle.read(_LARGEST)
    except FileNotFoundError:
        return Memory()
    try:
        return msgspec.json.decode(text, type=Memory)
    except msgspec.DecodeError as error:
        raise ValueError(f"'{file}' is damaged: {error}") from None


def write_memory(data_dir: Path, memory: Memory) -> None:
    """Replace the file: all of it or nothing, power cuts included. Blocks on the disk.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(data_dir / FILE, msgspec.json.encode(memory))
