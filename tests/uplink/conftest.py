"""A real broker, and someone who listens to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.mosquitto import Listener, Mosquitto


@pytest.fixture
def mosquitto(system_program: Callable[[str, str], str], tmp_path: Path) -> Iterator[Mosquitto]:
    """Mosquitto on a free port."""
    with Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path) as broker:
        yield broker


@pytest.fixture
def listener(system_program: Callable[[str, str], str], mosquitto: Mosquitto) -> Iterator[Listener]:
    """mosquitto_sub on everything of edgeapp."""
    program = system_program("mosquitto_sub", "mosquitto-clients")
    with Listener(program, mosquitto.port, "edgeapp/#") as found:
        yield found
