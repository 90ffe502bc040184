"""Near misses, for complaints."""

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if one is close enough."""
    import difflib  # only mistakes need it

    by_case = {name.lower(): name for name in sorted(known, reverse=True)}
    found = difflib.get_close_matches(word.lower()[:100], by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], *, heading: str, also: Iterable[str] = ()) -> str:
    """A remedy for an unknown word: the near miss, then all that is known.

    Words of `also` may be the near miss but are not listed.

    did_you_mean("rate_hx", ["device", "rate_hz"], heading="Options")
    -> "did you mean 'rate_hz'? Options: device, rate_hz"
    """
    known = list(known)
    listed = f"{heading}: {', '.join(known) if known else 'none'}"
    near = nearest(word, [*known, *also])
    return f"did you mean '{near}'? {listed}" if near else listed
