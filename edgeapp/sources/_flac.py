"""FLAC recordings, through libsndfile."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.sources.vibration_readers import Block, Reader, Recording, finite, numbered


class FlacReader:
    """Blocks of an open file."""

    def __init__(self, file: Any, damaged: type[Exception]) -> None:
        self._file = file
        self._damaged = damaged
        self._next = 0
        self._over = False

    def read_block(self, count: int) -> Block | None:
        """The next samples; one that is unusable, and the end, where it is cut short or damaged."""
        if self._over:
            return None
        try:
            samples = self._file.read(count, dtype="float32", always_2d=True)
        except self._damaged:
            self._over = True
            return Block(
                min(count, self._file.frames - self._next),
                None,
                f"the file is cut short or damaged after sample {self._next}",
            )
        if not len(samples):
            return None
        first = self._next
        self._next += len(samples)
        return finite(np.ascontiguousarray(samples.T), first + 1)


def flac_recording(path: Path) -> Recording:
    """A FLAC file of 8 to 24 bits; -1..1 is full scale.

    Raises:
        ValueError: it is no such file, is empty, or soundfile is not installed.
        OSError: it cannot be read.
    """
    if find_spec("soundfile") is None:
        raise ValueError(
            f"'{path.name}' needs soundfile, which is not installed: pip install 'edgeapp[audio]'"
        )
    try:
        import soundfile
    except (ImportError, OSError) as error:  # libsndfile is missing, or of another machine
        raise ValueError(f"'{path.name}' needs soundfile, which cannot be used: {error}") from None

    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, columns, total = file.samplerate, file.channels, file.frames
    except soundfile.LibsndfileError as error:
        raise ValueError(f"'{path}' is a damaged FLAC file: {error.error_string}") from None
    if not total:
        raise ValueError(f"'{path}' holds no samples")
    return Recording(float(rate_hz), numbered(columns), "", partial(_open, path))


@contextmanager
def _open(path: Path) -> Iterator[Reader]:
    import soundfile

    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise OSError(error.error_string) from None
    with file:
        yield FlacReader(file, soundfile.LibsndfileError)
