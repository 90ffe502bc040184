"""install.sh on a machine of its own: what a person sees, and what is left on the disk.

Most tests install small versions (`tests.servers.small_versions`) and have a small systemctl; what
the real systemd makes of it is tested elsewhere.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.box import Box, new_box
from tests.servers.bundle import bundle
from tests.servers.small_versions import small_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SYSTEMCTL = Path(__file__).resolve().parents[1] / "servers/small_systemctl.sh"
WITH_SYSTEMD = f"mkdir -p /run/systemd/system; cp {SYSTEMCTL} /usr/local/sbin/systemctl"
OURS = "find / -xdev -iname '*edgeapp*' -path '{}*'"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles by version: 1 and 2 are well, 3 is whatever its name says."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no Python of the system: sudo apt install python3")
    folder = tmp_path_factory.mktemp("bundles")
    manners = ("strict", "crashing", "refusing", "never well", "cannot load")
    made = {version: small_bundle(folder / version, version) for version in ("1.0", "2.0")}
    return made | {manner: small_bundle(folder / manner, "3.0", manner) for manner in manners}


@pytest.fixture
def box() -> Iterator[Box]:
    """A machine on which no systemd runs."""
    with new_box() as box:
        yield box


@pytest.fixture
def served(box: Box) -> Box:
    """A machine with a small systemctl, and a pipeline."""
    box.sh(WITH_SYSTEMD)
    box.sh("mkdir -p /etc/edgeapp/pipelines; echo 'name: porch' >/etc/edgeapp/pipelines/porch.yaml")
    return box


def install(box: Box, folder: Path, *words: str, expect: int = 0) -> str:
    """Run install.sh of a bundle; what it says."""
    done = box.run(folder / "install.sh", *words)
    said = done.stdout + done.stderr
    assert done.returncode == expect, said + box.sh("cat /var/log/edgeapp-install.log || :")
    return said


def running(box: Box) -> str:
    """The version that the machine would start."""
    return box.sh("/usr/local/bin/edgeapp --version").strip()


def versions(box: Box) -> list[str]:
    """What is kept of versions; nothing else lies beside them."""
    return box.sh("ls -A /opt/edgeapp/versions").split()


def test_a_first_installation(box: Box, bundles: dict[str, Path]) -> None:
    """Two sentences, everything in its place, and only root writes what root runs."""
    said = install(box, bundles["1.0"])
    assert said == (
        "Installing edgeapp 1.0 ...\n"
        "edgeapp 1.0 is installed. systemd does not run here: it starts at the next boot.\n"
    )
    assert running(box) == "1.0"
    modes = box.sh(
        "stat -c '%a %U:%G %n' /etc/edgeapp /etc/edgeapp/* /var/lib/edgeapp /opt/edgeapp/guard"
        " /opt/edgeapp/state"
    )
    assert modes.splitlines() == [
        "750 root:edgeapp /etc/edgeapp",
        "750 root:edgeapp /etc/edgeapp/conf.d",
        "640 root:edgeapp /etc/edgeapp/edgeapp.yaml",
        "750 root:edgeapp /etc/edgeapp/pipelines",
        "700 root:root /etc/edgeapp/secrets",
        "700 edgeapp:edgeapp /var/lib/edgeapp",
        "755 root:root /opt/edgeapp/guard",
        "755 root:root /opt/edgeapp/state",
    ]
    assert box.sh("find /opt/edgeapp ! -user root -o -perm /022 ! -type l") == ""
    units = "/etc/systemd/system/"
    link = box.sh(f"readlink {units}multi-user.target.wants/edgeapp.service").strip()
    assert link == f"{units}edgeapp.service"
    assert "edgeapp:x:" in box.sh("getent passwd edgeapp")
    box.sh("/opt/edgeapp/guard; grep -q MODE=normal /run/edgeapp-guard/start.env")


def test_once_more_changes_nothing(box: Box, bundles: dict[str, Path]) -> None:
    install(box, bundles["1.0"])
    places = "/opt/edgeapp /etc/edgeapp /etc/systemd/system /usr/local"
    files = f"find {places} ! -type d ! -name .lock"
    unchanging = f"{files} -printf '%p %T@ %i %l\\n' | sort"
    before = box.sh(unchanging)
    assert install(box, bundles["1.0"]) == "edgeapp 1.0 is installed already.\n"
    assert box.sh(unchanging) == before


def test_what_is_configured_is_never_overwritten(box: Box, bundles: dict[str, Path]) -> None:
    box.sh("mkdir -p /etc/edgeapp/pipelines; echo 'device: mine' >/etc/edgeapp/edgeapp.yaml")
    install(box, bundles["1.0"])
    assert box.sh("cat /etc/edgeapp/edgeapp.yaml") == "device: mine\n"


def test_an_existing_user_is_used(box: Box, bundles: dict[str, Path]) -> None:
    """One that an earlier installation left, and one that somebody made otherwise and keeps."""
    box.sh("useradd --system --shell /bin/sh --home-dir /srv edgeapp")
    install(box, bundles["1.0"])
    assert "/srv:/bin/sh" in box.sh("getent passwd edgeapp")
    install(box, bundles["1.0"], "--uninstall", "--purge")
    assert "/srv:/bin/sh" in box.sh("getent passwd edgeapp")


def test_an_upgrade_and_back(served: Box, bundles: dict[str, Path]) -> None:
    """The person sees what happens; the version before is kept for --rollback, older ones are not."""
    install(served, bundles["1.0"])
    said = install(served, bundles["2.0"])
    assert said.splitlines() == [
        "Installing edgeapp 2.0 ...",
        "Waiting until it is well, up to 120 s ...",
        "edgeapp 2.0 runs and is well.",
    ]
    assert (running(served), versions(served)) == ("2.0", ["1.0", "2.0"])
    assert served.sh("ls /opt/edgeapp/state").split() == ["installed", "previous"]

    script = Path("/opt/edgeapp/current/system")
    assert "edgeapp 1.0 runs and is well." in install(served, script, "--rollback")
    assert running(served) == "1.0"
    assert "edgeapp 2.0 runs and is well." in install(served, script, "--rollback")
    assert running(served) == "2.0"


def test_older_versions_are_removed(served: Box, bundles: dict[str, Path], tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        install(served, bundles[version])
    install(served, small_bundle(tmp_path / "4", "4.0"))
    assert versions(served) == ["2.0", "4.0"]


def test_a_version_that_became_well_while_nobody_waited_is_the_one_to_go_back_to(
    served: Box, bundles: dict[str, Path], tmp_path: Path
) -> None:
    install(served, bundles["1.0"])
    install(served, bundles["2.0"], "--health-s", "0")
    served.sh(
        "for i in $(seq 100); do"
        ' grep -q "$(sed -n s/.*_ID=//p /run/edgeapp-guard/start.env)" /var/lib/edgeapp/healthy'
        " && grep -q ' 2.0$' /run/edgeapp-guard/starts && exit; sleep 0.1; done; exit 1"
    )
    install(served, small_bundle(tmp_path / "4", "4.0"))
    assert versions(served) == ["2.0", "4.0"]


def test_a_version_that_did_not_become_well_yet_is_not_the_one_to_go_back_to(
    served: Box, bundles: dict[str, Path], tmp_path: Path
) -> None:
    install(served, bundles["1.0"])
    install(served, bundles["never well"], "--health-s", "0")
    install(served, small_bundle(tmp_path / "4", "4.0"))
    assert versions(served) == ["1.0", "4.0"]


def test_another_build_of_the_same_version_goes_beside_it(
    served: Box, bundles: dict[str, Path], tmp_path: Path
) -> None:
    install(served, bundles["1.0"])
    assert "runs and is well" in install(served, small_bundle(tmp_path / "1", "1.0", "strict"))
    old, new = versions(served)
    assert (old, running(served)) == ("1.0", "1.0")
    assert new.startswith("1.0-")


@pytest.mark.parametrize(
    ("manner", "why"),
    [
        ("crashing", "did not become well in several starts"),
        ("refusing", "does not start (exit-code)"),
        ("never well", "did not become well within 2 s"),
    ],
)
def test_a_version_that_does_not_become_well_is_taken_back(
    served: Box, bundles: dict[str, Path], manner: str, why: str
) -> None:
    """The one before runs again; the person is told why and where to look; exit code 3."""
    install(served, bundles["2.0"])
    patience = "2" if manner == "never well" else "60"
    said = install(served, bundles[manner], "--health-s", patience, expect=3)
    last = said.splitlines()[-1]
    assert f"version 3.0 {why}: 2.0 runs again" in last
    assert "/var/log/edgeapp-install.log" in last
    assert running(served) == "2.0"
    assert "installed" in served.sh("ls /opt/edgeapp/state")
    served.sh("[ ! -e /opt/edgeapp/state/trial ]")
    served.sh("for i in $(seq 100); do systemctl is-active && exit; sleep 0.1; done; exit 1")
    said = install(served, bundles["2.0"])
    assert "already" in said
    assert versions(served) == ["2.0"]


def test_a_version_that_this_machine_cannot_load_is_not_switched_to(
    served: Box, bundles: dict[str, Path]
) -> None:
    install(served, bundles["2.0"])
    calls = "cat /run/small-systemd/calls"
    before = served.sh(calls)
    said = install(served, bundles["cannot load"], expect=1)
    assert "native: ImportError: libbroken.so.1: cannot open shared object file" in said
    assert (running(served), versions(served)) == ("2.0", ["2.0"])
    assert served.sh(calls) == before


def test_a_version_that_refuses_the_configuration_is_not_switched_to(
    served: Box, bundles: dict[str, Path]
) -> None:
    """Its complaint is shown; what runs is not touched."""
    install(served, bundles["2.0"])
    served.sh("echo 'old_option: 1' >/etc/edgeapp/pipelines/porch.yaml")
    said = install(served, bundles["strict"], expect=1)
    assert "porch.yaml: old_option is no more" in said
    assert "edgeapp 3.0 refuses the configuration in /etc/edgeapp" in said
    assert running(served) == "2.0"


def test_an_older_version_wants_a_word(served: Box, bundles: dict[str, Path]) -> None:
    install(served, bundles["2.0"])
    assert "1.0 is older than 2.0" in install(served, bundles["1.0"], expect=1)
    assert "1.0 runs and is well" in install(served, bundles["1.0"], "--downgrade")


def test_a_service_that_somebody_disabled_stays_so(served: Box, bundles: dict[str, Path]) -> None:
    install(served, bundles["1.0"])
    served.sh("systemctl disable")
    assert "is disabled and stays so" in install(served, bundles["2.0"])
    served.sh("! systemctl is-active && ! systemctl is-enabled")


def test_once_more_starts_what_does_not_run(served: Box, bundles: dict[str, Path]) -> None:
    """As after a mistake in the configuration, which nobody but a person mends."""
    install(served, bundles["1.0"])
    served.sh("systemctl stop")
    assert "It did not run, and is started now" in install(served, bundles["1.0"])
    assert install(served, bundles["1.0"]) == "edgeapp 1.0 is installed already.\n"


def test_before_there_are_pipelines(served: Box, bundles: dict[str, Path]) -> None:
    """A service that ends for want of them is no failure; the next call starts what is there then."""
    served.sh("rm -f /etc/edgeapp/pipelines/*")
    nothing = "There is no pipeline in /etc/edgeapp/pipelines yet: put yours there"
    assert nothing in install(served, bundles["refusing"])
    assert "edgeapp 3.0 is installed already." in (said := install(served, bundles["refusing"]))
    assert nothing in said
    served.sh("[ ! -e /opt/edgeapp/state/trial ]")
    served.sh("echo 'name: porch' >/etc/edgeapp/pipelines/porch.yml")
    assert "It did not run, and is started now" in install(served, bundles["refusing"])


def test_its_unit_is_put_right(served: Box, bundles: dict[str, Path]) -> None:
    install(served, bundles["1.0"])
    served.sh("echo >>/etc/systemd/system/edgeapp.service")
    assert "it is restarted" in install(served, bundles["1.0"])
    served.sh(f"cmp {bundles['1.0']}/system/edgeapp.service /etc/systemd/system/edgeapp.service")


def test_without_a_version_before(served: Box, bundles: dict[str, Path]) -> None:
    install(served, bundles["1.0"])
    assert "no version before this one" in install(served, bundles["1.0"], "--rollback", expect=1)
    said = install(served, bundles["1.0"], "--uninstall", "--purge")
    assert said == "edgeapp is removed, with its configuration and data.\n"
    said = install(served, bundles["crashing"], "--health-s", "1", expect=1)
    assert "edgeapp 3.0 is installed and stays so, but did not become well" in said


def test_uninstalling_leaves_what_is_the_users_and_purging_nothing(
    served: Box, bundles: dict[str, Path]
) -> None:
    served.sh("rm -r /etc/edgeapp")
    untouched = served.sh("find /etc /opt /usr/local /var/lib /var/log ! -type d | sort")
    install(served, bundles["1.0"])
    install(served, bundles["2.0"])
    served.sh(
        "echo 'a: 1' >/etc/edgeapp/pipelines/porch.yaml; mkdir -p /etc/systemd/system/edgeapp.service.d;"
        "echo '[Service]' >/etc/systemd/system/edgeapp.service.d/override.conf"
    )
    said = install(served, bundles["2.0"], "--uninstall")
    assert "/etc/edgeapp and /var/lib/edgeapp are left" in said
    left = served.sh("find /etc /opt /usr/local /var -path '*edgeapp*' ! -type d")
    assert sorted(left.split()) == [
        "/etc/edgeapp/edgeapp.yaml",
        "/etc/edgeapp/pipelines/porch.yaml",
        "/etc/systemd/system/edgeapp.service.d/override.conf",
        "/var/lib/edgeapp/healthy",
        "/var/log/edgeapp-install.log",
    ]
    install(served, bundles["2.0"], "--uninstall", "--purge")
    assert served.sh("find /etc /opt /usr/local /var /run -path '*edgeapp*'") == ""
    backups = (
        "/etc/passwd-",
        "/etc/group-",
        "/etc/shadow-",
        "/etc/gshadow-",
        "/etc/subuid-",
        "/etc/subgid-",
    )
    after = served.sh("find /etc /opt /usr/local /var/lib /var/log ! -type d | sort").split()
    assert [path for path in after if path not in backups] == [
        path for path in untouched.split() if path not in backups
    ]
    assert served.sh("getent passwd edgeapp || getent group edgeapp || echo none") == "none\n"


def test_programs_of_that_name_that_are_not_ours_stay(box: Box, bundles: dict[str, Path]) -> None:
    box.sh("echo mine >/usr/local/bin/edgeapp")
    assert "/usr/local/bin/edgeapp is not ours" in install(box, bundles["1.0"])
    install(box, bundles["1.0"], "--uninstall", "--purge")
    assert box.sh("cat /usr/local/bin/edgeapp") == "mine\n"


def test_below_another_root(box: Box, bundles: dict[str, Path]) -> None:
    """Nothing outside of it is touched, no user is made."""
    said = install(box, bundles["1.0"], "--root", "/mnt/tried")
    assert "systemd does not run here" in said
    assert box.sh("/mnt/tried/opt/edgeapp/current/bin/edgeapp --version") == "1.0\n"
    assert box.sh("ls /opt /var/lib").split() == ["/opt:", "/var/lib:"]
    assert box.sh("getent passwd edgeapp || echo none") == "none\n"


def python_that_says(facts: str) -> str:
    """Make every Python of the machine answer so."""
    return ";".join(
        f"printf '#!/bin/sh\\n{facts}\\n' >/usr/local/bin/{name};chmod +x /usr/local/bin/{name}"
        for name in ("python3", "python3.11", "python3.12", "python3.13")
    )


@pytest.mark.parametrize(
    ("preparation", "sentence"),
    [
        (python_that_says("exit 127"), "Python is missing: sudo apt install python3"),
        (python_that_says("echo 3.9-64"), "but this machine has 3.9"),
        (python_that_says("echo 3.11-32"), "install a 64-bit system"),
        ("echo 'echo armv7l' >/usr/local/bin/uname", "32-bit Arm is not supported"),
        ("echo 'echo riscv64' >/usr/local/bin/uname", "this processor (riscv64) is not supported"),
        ("mount -o remount,ro /opt", "/opt/edgeapp cannot be written"),
    ],
)
def test_machines_that_do_not_fit(
    box: Box, bundles: dict[str, Path], preparation: str, sentence: str
) -> None:
    """One sentence that says what to do, and nothing is left behind."""
    if sys.version_info[:2] != (3, 11) and "3.11" in preparation:
        pytest.skip("the bundle is for the Python that runs the tests")
    box.sh(f"{preparation}; chmod +x /usr/local/bin/* 2>/dev/null || :")
    said = install(box, bundles["1.0"], expect=1)
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert box.sh("find /opt /etc/edgeapp /usr/local/bin/edgeapp -type f 2>/dev/null || :") in {
        "",
        "/opt/edgeapp/.lock\n",
    }


def test_a_disk_that_is_too_small(bundles: dict[str, Path]) -> None:
    """It is found before anything is built; what runs is not touched."""
    with new_box(size="12m") as box:
        said = install(box, bundles["1.0"], expect=1)
        assert "the disk of /opt/edgeapp/versions has" in said
        assert "are needed: free some space" in said
        assert versions(box) == []


def test_a_disk_that_fills_up_meanwhile(served: Box, bundles: dict[str, Path]) -> None:
    """Somebody else may take what the check found free."""
    install(served, bundles["1.0"])
    full = "df() { echo; echo a b c 99999999; }"
    served.sh("mount -o remount,size=$(du -sk /opt | cut -f 1)k /opt")
    served.sh(f"printf '#!/bin/sh\\n{full}\\ndf\\n' >/usr/local/bin/df; chmod +x /usr/local/bin/df")
    install(served, bundles["2.0"], expect=1)
    assert (running(served), versions(served)) == ("1.0", ["1.0"])
    served.sh("mount -o remount,size=1g /opt")
    assert "2.0 runs and is well" in install(served, bundles["2.0"])


def test_a_damaged_bundle_is_found_before_anything_is_done(
    box: Box, bundles: dict[str, Path], tmp_path: Path
) -> None:
    damaged = shutil.copytree(bundles["1.0"], tmp_path / "stick with a space")
    wheel = next((damaged / "wheels").glob("edgeapp-*"))
    wheel.write_bytes(wheel.read_bytes()[:-1])
    said = install(box, damaged, expect=1)
    assert f"the bundle is damaged (wheels/{wheel.name}): copy it again" in said
    (damaged / "SHA256SUMS").unlink()
    assert "holds no packages" in install(box, damaged, expect=1)


def test_from_a_path_with_spaces(box: Box, bundles: dict[str, Path], tmp_path: Path) -> None:
    install(box, shutil.copytree(bundles["1.0"], tmp_path / "USB STICK"))
    assert running(box) == "1.0"


def test_two_at_once_wait_for_each_other(box: Box, bundles: dict[str, Path]) -> None:
    both = [box.start(bundles["1.0"] / "install.sh") for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0].splitlines()[-1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == "edgeapp 1.0 is installed already."


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--sideways"], "there is no '--sideways'"),
        (["--purge"], "--purge goes with --uninstall"),
        (["--health-s", "soon"], "--health-s wants a number"),
        (["--health-s"], "--health-s wants a value"),
        (["--root", "here"], "--root wants a full path"),
    ],
)
def test_wrong_arguments(repo: Path, words: list[str], sentence: str) -> None:
    """Exit code 2 and how to call it."""
    done = subprocess.run(
        ["sh", repo / "deploy/install.sh", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "sudo ./install.sh --rollback" in done.stderr


def test_the_real_wheels_without_network(box: Box, tmp_path: Path) -> None:
    """All that edgeapp imports can be imported, and was installed by the real pip."""
    folder = bundle(tmp_path / "bundle", "9.1.0")
    install(box, folder)
    assert running(box) == "9.1.0"
    assert "device:" in box.sh("edgeapp config show")
    imported = "import cv2, onnxruntime, numpy, av, pydantic; print(numpy.__file__)"
    assert "/opt/edgeapp/current/" in box.sh(f"/opt/edgeapp/current/bin/python -c '{imported}'")
    assert box.sh("find /opt/edgeapp -name pip -type d") == ""
