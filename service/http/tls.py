"""TLS of the service's own port: its certificate, and whose client certificates are believed; renewed while it runs."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain.errors import InvalidConfiguration
from service.watched_files import WatchedFiles

_KINDS = ("URI", "DNS")
"""Of subject alternative names, in the order in which a caller is looked for by them; the common name comes last."""


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """PEM files."""

    certificate_file: Path
    key_file: Path | None = None
    """None: the key is in the certificate's file."""
    client_ca_file: Path | None = None
    """None: no client is asked for a certificate."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.certificate_file, self.key_file, self.client_ca_file) if path is not None)


class RenewedTls:
    """Every handshake gets what the files say now; connections that are open stay as they are."""

    def __init__(self, files: ServerFiles) -> None:
        """Raises `InvalidConfiguration`."""
        self._files = files
        self._watched = WatchedFiles(files.paths, self._made)
        self.watch = self._watched.watch
        self.context = self._made()
        # A server cannot be given another context, but each connection can, when its handshake begins.
        self.context.sni_callback = self._newest

    def _newest(self, connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        connection.context = self._watched.current

    def _made(self) -> ssl.SSLContext:
        files = self._files
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(files.certificate_file, files.key_file, password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            message = f"DRIFT_HTTP__TLS_CERTIFICATE_FILE or TLS_KEY_FILE cannot be used: {_fault(error)}"
            raise InvalidConfiguration(message) from error
        if files.client_ca_file is not None:
            try:
                made.load_verify_locations(files.client_ca_file)
            except OSError as error:
                raise InvalidConfiguration(f"DRIFT_HTTP__CLIENT_CA_FILE cannot be used: {_fault(error)}") from error
            # Not demanded: probes and callers with a key have none. One that is given has to be right.
            made.verify_mode = ssl.CERT_OPTIONAL
            # A resumed session would bring the certificate that an authority signed which may be believed no more.
            made.options |= ssl.OP_NO_TICKET
            made.num_tickets = 0
        return made


def certificate_names(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """Of a verified client certificate as `ssl` gives it, e.g. `URI:spiffe://...`, `DNS:...`, `CN:...`."""
    if not certificate:
        return ()
    alternatives = certificate.get("subjectAltName", ())
    names = [f"{kind}:{name}" for wanted in _KINDS for kind, name in alternatives if kind == wanted]
    subject = [part for parts in certificate.get("subject", ()) for part in parts]
    return (*names, *(f"CN:{value}" for kind, value in subject if kind == "commonName"))


def _no_password() -> str:
    """A key that is encrypted; without this OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted")


def _fault(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return getattr(error, "reason", None) or "no certificate or key in PEM form"
    return getattr(error, "strerror", None) or str(error)
