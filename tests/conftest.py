"""What tests of every layer may use."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import contract

# How long an example takes says something of the machine, and in a fresh checkout of the tables of
# characters that are made at first.
settings.register_profile("edgeapp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edgeapp")

REPO = Path(__file__).resolve().parent.parent
MACHINES = {"systemd", "fresh"}
"""Folders of tests that boot whole machines, which is enough for this one."""


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and our processes would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Iterator[None]:
    """Look at every message that is published from here on."""
    with contract.watched(contract.SUITE):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """A test that published what the contract does not allow has failed."""
    try:
        return (yield)
    finally:
        if wrong := contract.SUITE.wrong():
            pytest.fail("messages against docs/schemas:\n" + "\n".join(wrong), pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes that share the tests, one gets all of a file, and one all that boot machines."""
    for item in items:
        folder = item.path.relative_to(REPO).parts[1]
        group = "machines" if folder in MACHINES else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout that is being tested."""
    return REPO


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Recordings, clips and models of others, which are never committed.

    They lie in `../shared/data` beside the checkout, or where EDGEAPP_DATA says.
    """
    folder = Path(os.environ.get("EDGEAPP_DATA") or REPO.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; name its folder in EDGEAPP_DATA")
    return folder


@pytest.fixture(scope="session")
def system_program() -> Callable[[str, str], str]:
    """Finds a program that only tests want, or skips and names the package that brings it."""

    def find(program: str, debian_package: str) -> str:
        found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
        if found is None:
            pytest.skip(f"'{program}' is not installed: sudo apt install {debian_package}")
        return found

    return find
