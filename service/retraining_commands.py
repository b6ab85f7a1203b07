"""The commands about retraining: `driftwarden vet`, `pin`, `verify-record` and `verify-provenance`.

What takes long to import is imported by the command that needs it, as in `service.__main__`.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import click

from service.domain.retraining.pinned import ObjectName
from service.domain.retraining.vetting_statement import CHECK_NAME, MAXIMUM_CHECKS

_EXISTING = click.Path(exists=True, path_type=Path)
_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("vet")
@click.argument("dataset", type=_EXISTING)
@click.option("--key", type=_EXISTING_FILE, required=True, help="Your private key, in PEM (driftwarden keygen).")
@click.option("--passphrase-file", type=_EXISTING_FILE, help="Its passphrase; asked for on a terminal without this.")
@click.option("--certificate", type=_EXISTING_FILE, help="Its certificates, in PEM: its own first.")
@click.option("--signer", type=_EXISTING_FILE, help="The public key of those who signed the dataset.")
@click.option("--trust", type=_EXISTING_FILE, help="File that says which keys are trusted with datasets.")
@click.option("--signature", type=_EXISTING_FILE, help="The dataset's signature. Default: DATASET.sig")
@click.option("--check", "checks", multiple=True, required=True, metavar="NAME", help="What it passed; several times.")
@click.option("--expires", required=True, metavar="WHEN", help="30d, 12h, a date, or a time with its zone.")
@click.option("--statement", type=_NEW_FILE, help="Where the statement goes. Default: DATASET.vetting")
def vet_command(  # noqa: PLR0913 - one for each option
    *,
    dataset: Path,
    key: Path,
    passphrase_file: Path | None,
    certificate: Path | None,
    signer: Path | None,
    trust: Path | None,
    signature: Path | None,
    checks: tuple[str, ...],
    expires: str,
    statement: Path | None,
) -> None:
    """Say, signed, that DATASET passed checks, so that a model may be trained on it until then.

    The checks are yours: their names are what `checks` in the retrainings file asks for. The dataset is verified first,
    file by file, and its signer must be somebody else than you. Prints the digest of what was vetted. Works offline.

    \b
    driftwarden vet fraud-2026-11 --key approver.pem --signer datasets.pub --check labels --check privacy --expires 30d
    """
    from service.vet_command import Vetting, end_of, vet  # noqa: PLC0415 - see the module's docstring

    if (signer is None) == (trust is None):
        raise click.UsageError("give one of --signer and --trust: whose dataset it should be is for you to say")
    if len(checks) > MAXIMUM_CHECKS or any(re.fullmatch(CHECK_NAME, check) is None for check in checks):
        raise click.UsageError(f"--check must be a name of a-z, 0-9, . _ and -, at most {MAXIMUM_CHECKS} times")
    now = datetime.now(UTC)
    whole = dataset if dataset.name not in {"", ".."} else dataset.resolve()
    written = statement if statement is not None else whole.parent / f"{whole.name}.vetting"
    bundle = signature if signature is not None else whole.parent / f"{whole.name}.sig"
    end = end_of(expires, now)
    asked = Vetting(dataset, bundle, signer, trust, key, passphrase_file, certificate, checks, end, written)
    click.echo(vet(asked, now))
    click.echo(f"{written}: holds until {end.isoformat(timespec='seconds')}", err=True)


@click.command("pin")
@click.argument("template", type=_EXISTING_FILE, required=False)
@click.option("--cron-job", metavar="NAME", help="A CronJob in the cluster, in the place of a template.")
@click.option(
    "--also",
    multiple=True,
    metavar="VERSION/KIND/NAME",
    help="An object that the run reads, such as v1/ConfigMap/scripts; several times.",
)
@click.option("--namespace", "-n", help="Of the runs. Default: that of the kubeconfig's context, or of this Pod.")
@click.option("--kubeconfig", type=_EXISTING_FILE, help="Default: the one that kubectl would use.")
@click.option("--context", help="Of the kubeconfig. Default: its current one.")
def pin_command(
    *,
    template: Path | None,
    cron_job: str | None,
    also: tuple[str, ...],
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Say what TEMPLATE is now, for the retrainings file: its digest, and those of all objects that it leads to.

    Look at them before you pin them: what is pinned is what runs. Images must be named by their digests. A cluster is
    asked only where the template refers to something in it.

    \b
    driftwarden pin job.yaml
    driftwarden pin workflow.yaml --namespace driftwarden-retraining --also v1/ConfigMap/scripts
    driftwarden pin --cron-job retrain-fraud --namespace driftwarden-retraining
    """
    from service.pin_command import Asked, pin  # noqa: PLC0415 - see the module's docstring

    if (template is None) == (cron_job is None):
        raise click.UsageError("give one of TEMPLATE and --cron-job")
    named = tuple(_object(text) for text in also)
    click.echo(pin(Asked(template, cron_job, named, namespace, kubeconfig, context)))


def _object(text: str) -> ObjectName:
    *version, kind, name = text.split("/") if text.count("/") in {2, 3} else ("", "", "")
    if not (all(version) and kind and name):
        raise click.UsageError("--also must be such as v1/ConfigMap/scripts or argoproj.io/v1alpha1/WorkflowTemplate/x")
    return ObjectName("/".join(version), kind, name)


@click.command("verify-record")
@click.argument("record", type=_EXISTING_FILE)
@click.option("--key", "keys", type=_EXISTING_FILE, required=True, multiple=True, help="The service's public key(s).")
@click.option("--model", help="Accept the record of this model only.")
@click.option("--earlier", type=_EXISTING_FILE, help="What was handed out before: nothing of it may have changed.")
@click.option("--list", "lists", is_flag=True, help="Also what stands in it, a line for each entry.")
def verify_record_command(
    *, record: Path, keys: tuple[Path, ...], model: str | None, earlier: Path | None, lists: bool
) -> None:
    """Verify that RECORD, a model's record of retraining, is whole and as the service signed it. Works offline.

    Every entry holds the digest of the one before, and the last line is the service's signature over where the record
    begins and ends. So an entry that was changed, removed, added or moved is noticed, also at the end. Whoever rewrites
    the store, all of it, and lets the service sign that, is found out by --earlier. Ends with 0: verified; 1: not
    verified, and the first line says why; 2: the command is not as it should be.

    \b
    curl -fsS http://127.0.0.1:8080/v1/models/churn/retrainings/record > churn.jsonl
    driftwarden verify-record churn.jsonl --key service.pub --list
    Against the one of last month:
      driftwarden verify-record churn.jsonl --key service.pub --earlier churn-october.jsonl
    """
    from service.record_command import Asked, verify  # noqa: PLC0415 - see the module's docstring

    click.echo(verify(Asked(record, keys, model, earlier, lists)))


@click.command("verify-provenance")
@click.argument("provenance", type=_EXISTING_FILE)
@click.option("--key", "keys", type=_EXISTING_FILE, required=True, multiple=True, help="The service's public key(s).")
@click.option("--payload-digest", metavar="sha256:...", help="Of the model that it must be of, as `sign` printed it.")
@click.option("--record", type=_EXISTING_FILE, help="A record in which all that it was made of must stand.")
def verify_provenance_command(
    *, provenance: Path, keys: tuple[Path, ...], payload_digest: str | None, record: Path | None
) -> None:
    """Verify PROVENANCE, which says who made a model from what, and say it. Works offline.

    Ends with 0: verified; 1: not verified, and the first line says why; 2: the command is not as it should be.

    \b
    curl -fsS http://127.0.0.1:8080/v1/models/churn/retrainings/RUN/provenance > churn.provenance
    driftwarden verify-provenance churn.provenance --key service.pub --payload-digest "$(cat digest)"
    Also against the record that it was made of:
      driftwarden verify-provenance churn.provenance --key service.pub --record churn.jsonl
    """
    from service.record_command import provenance as verified  # noqa: PLC0415 - see the module's docstring

    if payload_digest is not None and re.fullmatch(r"sha256:[0-9a-f]{64}", payload_digest) is None:
        raise click.UsageError("--payload-digest must be sha256: and 64 hexadecimal digits in lower case")
    click.echo(verified(provenance, keys, payload_digest, record))
