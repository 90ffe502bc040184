"""What onnxruntime says of a model that it cannot use, in a sentence for users."""

import re

_LONGEST = 160  # characters of onnxruntime's own words in a sentence
_NOISE = (
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : ",
    r"^Load model from .*? failed:",
    r"/onnxruntime_src/\S* ?",
    r"\b\w+\.cc:\d+ ",
)

_PROBLEMS = (
    (
        r"INVALID_PROTOBUF|No graph was found",
        "is not an ONNX model, or only a part of one; copy or export it again",
    ),
    (
        r"No Op registered for (\S+)|Fatal error: (\S+?)\(-?\d+\) is not a registered",
        "uses the operator '{name}', which onnxruntime {version} does not have",
    ),
    (
        r"Could not find an implementation for (\w+)",
        "uses the operator '{name}' in a way that onnxruntime {version} does not offer",
    ),
    (
        r"ValidateOpsetForDomain|Unsupported model IR version",
        "was made for a newer ONNX than onnxruntime {version} knows; export it for an older one",
    ),
    (
        r"External data path does not exist",
        "keeps its weights in another file, which is not beside it",
    ),
    (
        r"External data path validation failed",
        "wants weights from outside its folder, which is refused; export it as one file",
    ),
)
"""Pattern in onnxruntime's message → what to say, in words that follow the file's name."""


def problem_of(error: Exception, version: str) -> str:
    """What is wrong with a model that cannot be loaded, in words that follow its name.

    `version`: that of onnxruntime.
    """
    for pattern, sentence in _PROBLEMS:
        if match := re.search(pattern, str(error)):
            names = [name for name in match.groups() if name]
            name = _printable(" ".join(names))
            return sentence.format(name=name, version=version)
    return f"cannot be loaded: {first_line(error)}"


def first_line(error: Exception) -> str:
    """The first line of onnxruntime's message, without codes, paths and source positions."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    for noise in _NOISE:
        line = re.sub(noise, "", line)
    return _printable(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}...")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
