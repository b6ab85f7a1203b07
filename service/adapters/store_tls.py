"""What TLS with the store is checked with: certificates from files, made anew when one of them changes."""

import ssl

from service.adapters.store_address import TlsFiles
from service.adapters.store_errors import UnreadableFile
from service.domain.errors import InvalidConfiguration


class Trust:
    """The TLS context of a store's connections."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._made: tuple[tuple[int, ...], ssl.SSLContext] | None = None

    def current(self) -> ssl.SSLContext:
        """Raises `UnreadableFile`."""
        paths = (self._files.ca_file, self._files.certificate_file, self._files.key_file)
        try:
            state = tuple(path.stat().st_mtime_ns for path in paths if path is not None)
            if self._made is None or self._made[0] != state:
                self._made = (state, self.context())
        except (OSError, InvalidConfiguration) as error:
            raise UnreadableFile(f"a file that TLS needs cannot be used: {error}") from error
        return self._made[1]

    def context(self) -> ssl.SSLContext:
        """Raises `InvalidConfiguration`."""
        files = self._files
        if files.key_file is not None and files.certificate_file is None:
            raise InvalidConfiguration("DRIFT_STORE__TLS_KEY_FILE is of no use without a TLS_CERTIFICATE_FILE")
        try:
            made = ssl.create_default_context(cafile=None if files.ca_file is None else str(files.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise InvalidConfiguration(f"DRIFT_STORE__TLS_CA_FILE cannot be used: {_fault(error)}") from error
        made.check_hostname = files.check_hostname
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if files.certificate_file is not None:
            try:
                made.load_cert_chain(files.certificate_file, files.key_file, password=_no_password)
            except (OSError, ssl.SSLError, ValueError) as error:
                message = f"DRIFT_STORE__TLS_CERTIFICATE_FILE or TLS_KEY_FILE cannot be used: {_fault(error)}"
                raise InvalidConfiguration(message) from error
        return made


def _no_password() -> str:
    """A key that is encrypted; without this OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted")


def _fault(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return getattr(error, "reason", None) or "no certificate or key in PEM form"
    return getattr(error, "strerror", None) or str(error)
