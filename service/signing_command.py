"""`driftwarden keygen` and `driftwarden sign`: keys, and signatures beside what they are of."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from service.adapters.artifacts.certificates import public_key_of, read_chain
from service.adapters.artifacts.elliptic_keys import EllipticKey, PassphraseWanted, read_bounded, read_private_key
from service.adapters.artifacts.file_tree import FileTree
from service.domain.errors import UnusableSignature
from service.domain.integrity.envelope import MAXIMUM_BUNDLE_BYTES, parse_bundle
from service.domain.integrity.statement import PREDICATE_TYPE, Kind
from service.domain.integrity.strict_json import parsed
from service.hashing_progress import shown_progress
from service.usecases.sign_artifact import sign_artifact


def make_keys(name: Path, curve: str, passphrase_file: Path | None, *, ask: bool) -> tuple[Path, str]:
    """The public key's file, and its fingerprint. Raises `ClickException`."""
    passphrase = _passphrase(passphrase_file)
    if passphrase is None and ask:
        passphrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True).encode()
    private, public = (name.with_name(f"{name.name}.{ending}") for ending in ("pem", "pub"))
    key = EllipticKey.new(curve)
    for file in (private, public):
        if file.exists():
            raise click.ClickException(f"{file} exists, and a key is never written over: choose another name")
    try:
        key.write(private, passphrase)
        with public.open("xb") as opened:
            opened.write(key.public_key)
    except OSError as error:
        raise click.ClickException(f"no keys can be written as {name}: {error.strerror}") from error
    return public, key.fingerprint


@dataclass(frozen=True, slots=True)
class Signing:
    """What is to be signed, and as what."""

    path: Path
    signature: Path
    key: Path
    passphrase_file: Path | None
    certificates: Path | None
    kind: Kind | None
    version: int | None


def sign_to(asked: Signing) -> tuple[int, str]:
    """How many files, and the payload's digest. Raises `ClickException`, and what `sign_artifact` raises."""
    path, signature = asked.path, asked.signature
    refuse_other_file(signature, PREDICATE_TYPE)
    signer = signing_key(asked.key, asked.passphrase_file)
    chain = chain_of(asked.certificates, signer)
    with shown_progress(path) as progress:
        files = FileTree(path, signature, progress=progress)
        statement, bundle = sign_artifact(files, signer, asked.kind, asked.version, chain)
    try:
        write_whole(signature, bundle.encode())
    except OSError as error:
        raise click.ClickException(f"{signature} cannot be written: {error.strerror}") from error
    return len(statement.digests), bundle.payload_digest


def chain_of(file: Path | None, key: EllipticKey) -> tuple[bytes, ...]:
    """The key's certificates; none without a file. Raises `ClickException`."""
    if file is None:
        return ()
    chain = read_chain(read_bounded(file), str(file))
    if public_key_of(chain[0], str(file)) != key.public_key:
        raise click.ClickException(f"{file} has another key's certificate first: the signer's comes first")
    return chain


def signing_key(file: Path, passphrase_file: Path | None) -> EllipticKey:
    """Its passphrase is asked for on a terminal. Raises `ClickException`, `InvalidConfiguration`."""
    try:
        return read_private_key(file, _passphrase(passphrase_file))
    except PassphraseWanted:
        if not sys.stdin.isatty():
            raise
    return read_private_key(file, click.prompt(f"Passphrase of {file}", hide_input=True, err=True).encode())


def _passphrase(file: Path | None) -> bytes | None:
    if file is None:
        return None
    passphrase = read_bounded(file).split(b"\n", 1)[0].removesuffix(b"\r")
    if not passphrase:
        raise click.ClickException(f"{file} has no passphrase in its first line")
    return passphrase


def refuse_other_file(signature: Path, predicate_type: str) -> None:
    """What a signature may replace is one of its type; a key, the model itself, or what is said of it, it may not."""
    if not signature.exists() and not signature.is_symlink():
        return
    try:
        payload = parse_bundle(read_bounded(signature, MAXIMUM_BUNDLE_BYTES)).payload
        is_alike = parsed(payload, "the statement").get("predicateType") == predicate_type
    except UnusableSignature:
        raise click.ClickException(f"{signature} exists and is no signature: choose another file") from None
    if not is_alike:
        raise click.ClickException(f"{signature} exists and is a signature over something else: choose another file")


def write_whole(file: Path, text: bytes) -> None:
    """All of it under its name, or nothing. Raises `OSError`."""
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as opened:
        try:
            opened.write(text)
            opened.flush()
            os.fchmod(opened.fileno(), 0o644)
            Path(opened.name).replace(file)
        except BaseException:
            Path(opened.name).unlink(missing_ok=True)
            raise
