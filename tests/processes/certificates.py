"""A certificate authority for the tests, and certificates that are right, expired or another's."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

OPENSSL_WANTED = "no openssl on PATH: install it, e.g. apt-get install openssl"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs what it is asked to."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip(OPENSSL_WANTED)
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.certificate, self._key = directory / "ca.pem", directory / "ca.key"
        output = ("-keyout", str(self._key), "-out", str(self.certificate))
        # Python 3.13 and later trust no authority that does not say what its key is for (RFC 5280, 4.2.1.3).
        purpose = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        name = ("-subj", f"/CN=authority {directory.name}")
        _openssl("req", "-x509", *_NEW_KEY, *output, "-days", "30", *name, *purpose)

    def issue(self, name: str, addresses: str = "IP:127.0.0.1,DNS:localhost", *, days: int = 30) -> Certificate:
        """A certificate for these subject alternative names; of negative days: expired."""
        made = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        request, extensions = self._directory / f"{name}.csr", self._directory / f"{name}.ext"
        keys = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        extensions.write_text(f"subjectAltName={addresses}\n{keys}")
        _openssl("req", *_NEW_KEY, "-keyout", str(made.key), "-out", str(request), "-subj", f"/CN={name}")
        signing = ("-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial")
        files = ("-in", str(request), "-extfile", str(extensions), "-out", str(made.certificate))
        _openssl("x509", "-req", *signing, *files, "-days", str(days))
        return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
