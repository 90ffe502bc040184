"""Certificates to test TLS with, made by openssl."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

_CONFIG = """\
[ca]
default_ca = this
[this]
dir = .
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


class Pair(NamedTuple):
    """A certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates; its own is `cert`."""

    def __init__(self, openssl: str, folder: Path) -> None:
        self._openssl = openssl
        self._folder = folder
        folder.mkdir()
        (folder / "ca.cnf").write_text(_CONFIG)
        (folder / "index.txt").touch()
        self.cert = folder / "ca.crt"
        self._run(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt"),
            *("-subj", f"/CN={folder.name}"),
        )

    def issue(
        self, name: str, *, names: str = "IP:127.0.0.1", from_days: float = -1, to_days: float = 2
    ) -> Pair:
        """A certificate for these names, good between these days from now."""
        self._run(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName={names}"),
        )
        self._run(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.crt"),
            *("-keyfile", "ca.key", "-startdate", _date(from_days), "-enddate", _date(to_days)),
            *("-in", f"{name}.csr", "-out", f"{name}.crt"),
        )
        return Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")

    def encrypt(self, key: Path, phrase: str = "secret") -> Path:
        """The same key behind a pass phrase."""
        encrypted = key.with_suffix(".encrypted.key")
        self._run("pkey", "-in", key, "-aes128", "-passout", f"pass:{phrase}", "-out", encrypted)
        return encrypted

    def end_date(self, cert: Path) -> str:
        """When a certificate expires, as openssl says it."""
        return self._run("x509", "-in", cert, "-noout", "-enddate", "-dateopt", "iso_8601").strip()

    def _run(self, *arguments: str | Path) -> str:
        command = [self._openssl, *arguments]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _date(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
