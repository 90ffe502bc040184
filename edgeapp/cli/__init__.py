"""The command line. Each command is a small module, imported when it is called.

Nothing heavy is imported before a command needs it: `edgeapp --help` loads neither numpy nor
OpenCV nor onnxruntime. `outcome.main` turns what a command raises into a sentence and a code.
"""

from edgeapp.cli.outcome import main

__all__ = ["main"]
