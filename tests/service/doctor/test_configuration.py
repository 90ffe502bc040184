"""The files of the configuration, as whoever runs the pipelines sees them."""

import os
from pathlib import Path

import pytest

from edgeapp.service.doctor import configuration
from tests.service.doctor.ward import Ward, found, verdicts


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to others")
def test_a_file_that_the_service_may_not_read_is_named_with_what_lets_it(tmp_path: Path) -> None:
    """Root, who asks, reads it without trouble."""
    ward = Ward(tmp_path)
    file = Path("/etc/edgeapp/pipelines/porch.yaml")
    ward.write(str(file), "name: porch\n")
    there = ward.case().machine.path(file)
    there.chmod(0o600)
    case = ward.installed(uid=0, files=(file,))
    [finding] = found(configuration.configuration, case)
    assert finding.verdict == "failed"
    assert finding.said == f"edgeapp may not read {file}"
    group = case.user().gid
    assert finding.fix == f"chgrp {group} {file} && chmod g+r {file}"
    os.chown(there, 0, group)
    there.chmod(0o640)
    assert verdicts(configuration.configuration, case) == [("configuration", "ok")]
