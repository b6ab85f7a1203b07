"""Sign files as they are: all of them, or nothing."""

from typing import TYPE_CHECKING

from service.domain.errors import UnsignableArtifact
from service.domain.integrity.envelope import MAXIMUM_BUNDLE_BYTES, Bundle, signed_bytes
from service.domain.integrity.statement import Kind, Statement
from service.domain.integrity.tree import signable

if TYPE_CHECKING:  # the other ports bring NumPy and SciPy, which nothing here needs
    from service.ports import ArtifactFiles, PrivateKey


def sign_artifact(
    files: "ArtifactFiles",
    key: "PrivateKey",
    kind: Kind | None = None,
    version: int | None = None,
    certificates: tuple[bytes, ...] = (),
) -> tuple[Statement, Bundle]:
    """Blocks while every file is read. Raises `UnsignableArtifact`, `ArtifactUnreadable`.

    Certificates are the key's own first, in DER; with them the key is found by those who trust their root.
    """
    digests = files.digests(signable(files.found()))
    statement = Statement(files.name, digests, kind=kind, version=version)
    payload = statement.encode()
    bundle = Bundle(payload, key.sign(signed_bytes(payload)), "" if certificates else key.fingerprint, certificates)
    if len(bundle.encode()) > MAXIMUM_BUNDLE_BYTES:
        raise UnsignableArtifact(f"{len(digests):,} files are more than a signature has place for: pack them")
    return statement, bundle
