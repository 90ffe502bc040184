"""What the YAML parser objects to, in words for people."""

from yaml.error import MarkedYAMLError

_EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    (
        "found character '\\t' that cannot start any token",
        "a tab stands here where YAML wants spaces",
        "indent with spaces",
    ),
    (
        "mapping values are not allowed here",
        "this ':' is not expected here",
        "put text that holds ': ' in quotes, and check the indentation",
    ),
    (
        "could not find expected ':'",
        "a ':' is missing",
        "write 'key: value', with a space after the ':'",
    ),
    (
        "expected <block end>, but found '<scalar>'",
        "this does not belong to what stands before it",
        "put the whole value into quotes, and check the indentation",
    ),
    (
        "expected <block end>",
        "this does not line up with the lines above",
        "keys of one group start in the same column",
    ),
    (
        "expected ',' or '}'",
        "a ',' or the closing '}' is missing",
        "close what '{' opened, or put the whole value in quotes",
    ),
    (
        "expected ',' or ']'",
        "a ',' or the closing ']' is missing",
        "close what '[' opened",
    ),
    (
        "found unexpected end of stream",
        "the file ends inside a quoted text",
        "close the quotes",
    ),
    (
        "expected ' ', but found",
        "tags ('!...') are not used in configs",
        "put text that starts with '!' in quotes",
    ),
    (
        "expected a comment or a line break",
        "after '>' or '|' text begins on the next line",
        "put text that starts with '>' or '|' in quotes",
    ),
    (
        "that cannot start any token",
        "this character cannot start a value",
        "put text that starts with it in quotes",
    ),
    (
        "found unknown escape character",
        "no such escape is known inside double quotes",
        "write '\\\\' for a backslash, or use single quotes",
    ),
    (
        "found incompatible YAML document",
        "this version of YAML is not known",
        "remove the '%YAML' line",
    ),
)


def is_before(error: MarkedYAMLError) -> bool:
    """Whether the mistake stands where the parser began, not where it noticed."""
    return "could not find expected ':'" in (error.problem or "")


def explain(error: MarkedYAMLError) -> tuple[str, str]:
    """Problem and remedy for an error of the parser."""
    said = error.problem or error.context or "something is wrong"
    for part, problem, remedy in _EXPLANATIONS:
        if part in said:
            return problem, remedy
    return f"this is not YAML: {said}", ""
