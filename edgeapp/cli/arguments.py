"""Arguments that several commands share, and what a user may get wrong about them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edgeapp.cli import exits

Files = Annotated[Path, Parameter(metavar="FILE")]
"""For `*files`."""
Sets = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", metavar="STAGE.OPTION=VALUE", show_default=False),
]
Duration = Annotated[str | None, Parameter(name="--for", metavar="TIME")]
Period = Annotated[str | None, Parameter(name="--every", metavar="TIME")]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Device = Annotated[Path | None, Parameter(metavar="FILE")]

_LONGEST_SHOWN = 200


def existing(files: Sequence[Path]) -> list[Path]:
    """The files, all of which are there.

    Raises:
        Quit: none is given, or one is not there.
    """
    if not files:
        raise exits.Quit(exits.USAGE, "name at least one pipeline file")
    for file in files:
        if not is_there(file):
            raise exits.Quit(exits.NO_INPUT, f"there is no file '{file}'")
    return list(files)


def is_there(path: Path) -> bool:
    """Whether there is a file or folder of that name.

    Raises:
        Quit: nobody can tell: the folder may not be looked into, or no file can have this name.
    """
    try:
        return path.exists()
    except OSError as error:
        problem = f"'{str(path)[:_LONGEST_SHOWN]}' cannot be looked for: {error.strerror}"
        raise exits.Quit(exits.NO_INPUT, problem) from None


def seconds(text: str) -> float:
    """A duration as given on the command line, in seconds.

    Raises:
        Quit: it is none.
    """
    from edgeapp.cli.words import seconds_of

    try:
        return seconds_of(text)
    except ValueError as error:
        raise exits.Quit(exits.USAGE, str(error)) from None
