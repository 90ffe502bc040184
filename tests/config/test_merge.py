"""The laws of laying one table over another."""

from functools import reduce
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.config.merge import cleared, merged
from edgeapp.document.tree import Entry, Listing, Node, Plain, Scalar, Table, plain
from edgeapp.errors import Place

LEAF, GROUP = st.sampled_from("abc"), st.sampled_from("GH")
VALUES: st.SearchStrategy[Plain] = st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2)


def layers_of(values: st.SearchStrategy[Plain]) -> st.SearchStrategy["Plains"]:
    """Layers in which, as in a device file, a key is always a group of keys, or never one."""
    inner = st.dictionaries(LEAF, values, max_size=3)
    middle = st.builds(dict.__or__, inner, st.dictionaries(GROUP, inner, max_size=2))
    return st.builds(dict.__or__, inner, st.dictionaries(GROUP, middle, max_size=2))


WITHOUT_NULLS = layers_of(VALUES)
WITH_NULLS = layers_of(VALUES | st.none())
Plains: TypeAlias = dict[str, Plain]


def node(value: Plain, file: str) -> Node:
    """A value of a layer, with a place for each piece."""
    place = Place(file, 1, 1)
    if isinstance(value, dict):
        return Table(tuple(Entry(key, place, node(one, file)) for key, one in value.items()), place)
    if isinstance(value, list):
        return Listing(tuple(node(one, file) for one in value), place)
    return Scalar(value, str(value), place)


def table(value: Plains, file: str = "file") -> Table:
    found = node(value, file)
    assert isinstance(found, Table)
    return found


def over(*layers: Plains) -> Plain:
    """What counts in the end of all layers."""
    said = reduce(merged, [table(layer) for layer in layers], table({}))
    return plain(cleared(said, lambda _path: True))


def expected(lower: Plain, upper: Plain) -> Plain:
    """The same in five lines, on dictionaries: RFC 7396."""
    if not isinstance(upper, dict):
        return upper
    result = dict(lower) if isinstance(lower, dict) else {}
    for key, value in upper.items():
        result.pop(key, None) if value is None else result.update(
            {key: expected(result.get(key), value)}
        )
    return result


@settings(max_examples=30)
@given(st.lists(WITH_NULLS, max_size=4))
def test_layers_merge_as_rfc_7396_says(layers: list[Plains]) -> None:
    result: Plain = {}
    for layer in layers:
        result = expected(result, layer)
    assert over(*layers) == result


@settings(max_examples=30)
@given(WITHOUT_NULLS, WITHOUT_NULLS, WITHOUT_NULLS)
def test_it_does_not_matter_which_layers_are_merged_first(a: Plains, b: Plains, c: Plains) -> None:
    first, second, third = table(a), table(b), table(c)
    assert plain(merged(merged(first, second), third)) == plain(
        merged(first, merged(second, third))
    )


@settings(max_examples=30)
@given(WITH_NULLS)
def test_a_layer_that_says_nothing_changes_nothing(layer: Plains) -> None:
    assert plain(merged(table(layer), table({}))) == layer
    assert plain(merged(table({}), table(layer))) == layer


@settings(max_examples=30)
@given(WITH_NULLS, WITH_NULLS)
def test_to_say_the_same_twice_is_to_say_it_once(a: Plains, b: Plains) -> None:
    assert over(a, b, b) == over(a, b)


@settings(max_examples=30)
@given(WITHOUT_NULLS, LEAF | GROUP)
def test_null_removes(layer: Plains, key: str) -> None:
    assert over(layer, {key: None}) == {k: v for k, v in over(layer).items() if k != key}  # type: ignore[union-attr]  # it is a dictionary


@settings(max_examples=30)
@given(WITHOUT_NULLS, LEAF | GROUP, st.lists(st.integers(0, 9), max_size=3))
def test_lists_replace(layer: Plains, key: str, given_: list[Plain]) -> None:
    assert over(layer, {key: given_})[key] == given_  # type: ignore[index,call-overload]  # it is a dictionary


def leaves(tree: Table, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Node]:
    found: dict[tuple[str, ...], Node] = {}
    for entry in tree.entries:
        path = (*above, entry.key)
        if isinstance(entry.value, Table) and entry.value.entries:
            found.update(leaves(entry.value, path))
        else:
            found[path] = entry.value
    return found


def at(value: Plain, path: tuple[str, ...]) -> tuple[bool, Plain]:
    """Whether a layer says something at `path`, and what it is."""
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False, None
        value = value[key]
    return True, value


@settings(max_examples=30)
@given(st.lists(WITHOUT_NULLS, min_size=1, max_size=4))
def test_each_value_has_the_place_of_the_last_layer_that_says_it(layers: list[Plains]) -> None:
    said = reduce(
        merged, [table(layer, str(number)) for number, layer in enumerate(layers)], table({})
    )
    for path, value in leaves(said).items():
        if isinstance(value, Table):
            continue  # an empty group is in every layer that has it
        winner = max(number for number, layer in enumerate(layers) if at(layer, path)[0])
        assert value.place.file == str(winner)
        assert plain(value) == at(layers[winner], path)[1]


def test_nulls_of_keys_that_nobody_knows_stay_to_be_found() -> None:
    said = table({"host": None, "hots": None, "in": {"host": None}})

    assert plain(cleared(said, lambda path: path[-1] == "host")) == {"hots": None, "in": {}}
