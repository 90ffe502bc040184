import pytest

from edgeapp.config.names import MAX_NAME, problem_with, sanitised


@pytest.mark.parametrize("name", ["porch", "pump-7", "a", "7up", "a_b-c", "x" * MAX_NAME])
def test_names_that_can_be_topic_levels(name: str) -> None:
    assert problem_with(name) is None


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("Pump 7", "write 'pump-7'"),
        ("a/b", "write 'a-b'"),
        ("#", "choose another"),
        ("-a", "write 'a'"),
        ("größe", "write 'gr-e'"),
        ("..", "choose another"),
        ("a:{source", "write 'a: ...', with a space after the ':'"),
        (":", "choose another"),
        ("status", "choose another"),
        ("Set", "choose another"),
        ("state", "choose another"),
        ("gap", "choose another"),
        ("outbox", "choose another"),
        ("Reply", "choose another"),
        ("x" * (MAX_NAME + 1), "shorten it"),
    ],
)
def test_other_names_are_refused_with_a_way_out(name: str, remedy: str) -> None:
    problem = problem_with(name)

    assert problem
    assert problem[1] == remedy


def test_host_names_become_names() -> None:
    assert sanitised("Raspberry.Pi.local") == "raspberry-pi-local"
