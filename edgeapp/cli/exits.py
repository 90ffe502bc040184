"""Exit codes, as in sysexits.h, and the error that ends a command with one of them."""

OK = 0
FAILED = 1
"""A pipeline ended failed."""
USAGE = 2
BAD_DATA = 65
"""A file is damaged, or not what it should be."""
NO_INPUT = 66
"""A file that the command line names is not there."""
UNAVAILABLE = 69
"""Something outside is not there."""
BUG = 70
GAVE_UP = 75
"""A version on trial did not become healthy in time: the guard goes back to the one before."""
CONFIG = 78
INTERRUPTED = 130
"""Ctrl-C ended a command that does not run until Ctrl-C."""
NOBODY_READS = 141
"""Standard output was closed, as by `| head`; what a shell reports of SIGPIPE."""


class Quit(Exception):
    """Ends the command with `code` and a sentence for the user on standard error."""

    def __init__(self, code: int, sentence: str) -> None:
        self.code = code
        super().__init__(sentence)
