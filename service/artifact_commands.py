"""The commands about artifacts: `driftwarden keygen`, `sign`, `verify` and `inspect`, as the command line knows them.

What takes long to import is imported by the command that needs it, as in `service.__main__`.
"""

import re
from pathlib import Path

import click

from service.domain.integrity.contents.content import Content
from service.domain.integrity.statement import Kind
from service.domain.integrity.trust import Expectation

_EXISTING = click.Path(exists=True, path_type=Path)
_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_KIND = click.Choice([kind.value for kind in Kind])


@click.command("keygen")
@click.argument("name", type=_NEW_FILE)
@click.option("--curve", type=click.Choice(["P-256", "P-384", "P-521"]), default="P-256", show_default=True)
@click.option("--passphrase-file", type=_EXISTING_FILE, help="File whose first line encrypts the private key.")
@click.option("--passphrase", "ask", is_flag=True, help="Ask for a passphrase that encrypts the private key.")
def keygen_command(*, name: Path, curve: str, passphrase_file: Path | None, ask: bool) -> None:
    """Make a key to sign with: NAME.pem, which only you can read, and NAME.pub, for those who verify.

    Neither is ever written over. Keep the private one where models are built; whoever has it can sign anything.

    \b
    driftwarden keygen release
    driftwarden keygen release --passphrase-file /run/secrets/passphrase
    """
    from service.signing_command import make_keys  # noqa: PLC0415 - see the module's docstring

    public, fingerprint = make_keys(name, curve, passphrase_file, ask=ask)
    click.echo(f"{public}: {fingerprint}")


@click.command("sign")
@click.argument("path", type=_EXISTING)
@click.option("--key", type=_EXISTING_FILE, required=True, help="The private key, in PEM (driftwarden keygen).")
@click.option("--passphrase-file", type=_EXISTING_FILE, help="Its passphrase; asked for on a terminal without this.")
@click.option(
    "--certificate", type=_EXISTING_FILE, help="Its certificates, in PEM: its own first, then up to the root."
)
@click.option("--signature", type=_NEW_FILE, help="Where the signature goes. Default: PATH.sig")
@click.option("--kind", type=_KIND, help="What it is; a key can be trusted for some kinds only.")
@click.option("--version", type=click.IntRange(min=0), help="Its number, for those who refuse older ones.")
def sign_command(
    *,
    path: Path,
    key: Path,
    passphrase_file: Path | None,
    certificate: Path | None,
    signature: Path | None,
    kind: str | None,
    version: int | None,
) -> None:
    """Sign PATH, a file or a folder with everything in it, hidden files included.

    The signature is an OpenSSF Model Signing v1.0 bundle, which other verifiers read. Prints the digest of what was
    signed: who pins it (driftwarden verify --payload-digest) takes this very artifact and no older one. Links, devices
    and folders without anything in them cannot be signed, and are named.

    \b
    driftwarden sign fraud-v3 --key release.pem --kind model --version 3
    With a certificate of an authority that those who verify trust:
      driftwarden sign fraud-v3 --key leaf.pem --certificate chain.pem
    """
    from service.signing_command import Signing, sign_to  # noqa: PLC0415 - see the module's docstring

    written = signature if signature is not None else _beside(path)
    said = None if kind is None else Kind(kind)
    files, digest = sign_to(Signing(path, written, key, passphrase_file, certificate, said, version))
    click.echo(f"{written}: {files:,} {'file' if files == 1 else 'files'} signed", err=True)
    click.echo(digest)


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--signature", type=click.Path(path_type=Path), help="Where the signature is. Default: PATH.sig")
@click.option("--key", type=_EXISTING_FILE, help="The one public key that is trusted.")
@click.option("--trust", type=_EXISTING_FILE, help="File that says which keys are trusted, and until when.")
@click.option("--kind", type=_KIND, help="What it must be signed as, and its key be trusted for.")
@click.option("--payload-digest", metavar="sha256:...", help="Accept this very artifact, as `sign` printed it.")
@click.option("--minimum-version", type=click.IntRange(min=0), help="Accept this version, or a later one.")
@click.option("--allow-ignored", is_flag=True, help="Accept, and name, unsigned files that the signature ignores.")
@click.option("--data-only", is_flag=True, help="Accept nothing but data: no file that runs code, or may (`inspect`).")
def verify_command(  # noqa: PLR0913 - one for each option
    *,
    path: Path,
    signature: Path | None,
    key: Path | None,
    trust: Path | None,
    kind: str | None,
    payload_digest: str | None,
    minimum_version: int | None,
    allow_ignored: bool,
    data_only: bool,
) -> None:
    """Verify that PATH is, file by file, what somebody trusted has signed. Works offline.

    Ends with 0: verified; 1: not verified, and the first line says why; 2: the command is not as it should be.

    \b
    driftwarden verify fraud-v3 --key release.pub
    With several keys, their validity, and no way back to older versions:
      driftwarden verify fraud-v3 --trust trust.yaml --kind model --minimum-version 3
    Signed elsewhere, with its .git left out of the signature:
      driftwarden verify fraud-v3 --signature fraud-v3/model.sig --key release.pub --allow-ignored
    """
    from service.verify_command import Asked, verify  # noqa: PLC0415 - see the module's docstring

    if (key is None) == (trust is None):
        raise click.UsageError("give one of --key and --trust: who is trusted is for you to say")
    if payload_digest is not None and re.fullmatch(r"sha256:[0-9a-f]{64}", payload_digest) is None:
        raise click.UsageError("--payload-digest must be sha256: and 64 hexadecimal digits in lower case")
    expected = Expectation(None if kind is None else Kind(kind), payload_digest, minimum_version, allow_ignored)
    bundle = signature if signature is not None else _beside(path)
    click.echo(verify(Asked(path, bundle, key, trust, expected, data_only)))


@click.command("inspect")
@click.argument("path", type=_EXISTING)
@click.option("--json", "as_json", is_flag=True, help="In JSON, for programs.")
@click.option(
    "--refuse",
    type=click.Choice([content.value for content in (Content.CODE, Content.MAY, Content.UNKNOWN)]),
    help="End with 1 if there are such files, or worse ones; code is worse than may, and may than unknown.",
)
def inspect_command(*, path: Path, as_json: bool, refuse: str | None) -> None:
    """Say of every file of PATH whether it runs code when it is loaded. Loads none.

    By what is in the files, not by their names alone: code (pickles, scripts, native code), may (it can carry code, or
    not all of it can be looked at), unknown, data.

    \b
    driftwarden inspect fraud-v3
    driftwarden inspect fraud-v3 --refuse may
    """
    from service.inspect_command import inspect  # noqa: PLC0415 - see the module's docstring

    click.echo(inspect(path, None if refuse is None else Content(refuse), as_json=as_json))


def _beside(path: Path) -> Path:
    whole = path if path.name not in {"", ".."} else path.resolve()
    return whole.parent / f"{whole.name}.sig"
