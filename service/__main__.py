"""The command line.

What takes long to import is imported by the command that needs it: `--help` answers at once, and a signal that comes
while the service starts finds its handler.
"""

import asyncio
import logging
import os
import secrets
import signal
import sys
import textwrap
import threading
from contextlib import ExitStack
from pathlib import Path
from socket import AF_UNIX, gethostname, socket
from typing import Any

import click
from pydantic import ValidationError

from service.artifact_commands import (
    inspect_command,
    keygen_command,
    sign_command,
    verify_command,
)
from service.domain.access import ALL_MODELS, KEY_BYTES, Verb, new_key
from service.domain.errors import DriftwardenError, InvalidInput
from service.retraining_commands import (
    pin_command,
    verify_provenance_command,
    verify_record_command,
    vet_command,
)
from service.settings import Settings
from service.telemetry.logging import configure

_log = logging.getLogger("driftwarden")
_FAULTS_SHOWN = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="driftwarden", prog_name="driftwarden")
def cli() -> None:
    """Drift detection and model integrity for models on Kubernetes.

    \b
    Try it on real data:         driftwarden demo
    Run the service:             driftwarden serve
    Try a plan on your history:  driftwarden calibrate rows.csv --time-column time
    More hands to judge windows: driftwarden worker
    A judged window's rows:      driftwarden export MODEL --verdict 7 --output rows.csv
    Beside an inference server:  driftwarden sidecar
    Sign files, and verify them: driftwarden keygen | sign | verify
    Which files run code:        driftwarden inspect PATH
    What models may learn from:  driftwarden vet DATASET
    What can be set, and how:    driftwarden settings
    """


@cli.command("serve")
@click.option("--ingest-only", is_flag=True, help="Take observations, and leave judging them to `driftwarden worker`.")
def serve_command(*, ingest_only: bool) -> None:
    """Run the service: take observations, judge windows, start retraining.

    Everything is set by environment variables (see `driftwarden settings`). Without any it listens on
    127.0.0.1:8080, keeps its data in ./.driftwarden in an embedded Valkey, and only shows the retraining
    Job that it would create.

    \b
    A Redis or Valkey of your own:   DRIFT_STORE__URL=redis://localhost:6379 driftwarden serve
    Jobs in a cluster:               DRIFT_TRIGGER__KIND=kubernetes driftwarden serve (docs/vetting.md)

    Any number of them may share a store: each takes observations, and they spread the models over themselves
    to judge. To scale the two apart, run some with --ingest-only, and as many workers as keep up.
    """
    _run(ingests=True, evaluates=not ingest_only)


@cli.command("worker")
def worker_command() -> None:
    """Judge windows and start retraining; take no observations.

    Run any number beside `driftwarden serve` (with --ingest-only, or without), all with the same
    DRIFT_STORE__URL. They spread the models over themselves, take over from one that dies, and judge every
    window once. Only /livez, /readyz and /metrics are served, on DRIFT_WORKER__PORT.

    \b
    One more worker on this machine:
      DRIFT_STORE__URL=redis://localhost:6379 DRIFT_WORKER__PORT=8082 driftwarden worker
    """
    _run(ingests=False, evaluates=True)


@cli.command("sidecar")
@click.option("--forward-to", metavar="URL", help="The central service; the same as DRIFT_FORWARD__URL.")
def sidecar_command(*, forward_to: str | None) -> None:
    """Take observations beside an inference server, and forward them to a central service.

    Rows are acknowledged from an embedded store of its own, on disk, and go on in panes: as summaries where the
    model's plan keeps no rows, as rows otherwise. While the central service is away they wait, up to
    DRIFT_FORWARD__MAX_BYTES; each counts once, whatever is killed meanwhile. Models are registered there, not here.

    \b
    driftwarden sidecar --forward-to http://driftwarden.driftwarden
    """
    _run(ingests=True, evaluates=False, forward_to=forward_to, forwards=True)


def _run(*, ingests: bool, evaluates: bool, forwards: bool = False, forward_to: str | None = None) -> None:
    settings = _settings({} if forward_to is None else {"forward": {"url": forward_to}})
    configure(settings.telemetry.log_level, settings.telemetry.log_format)
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        runner.run(_serve(settings, ingests=ingests, evaluates=evaluates, forwards=forwards))
    _end_without_waiting()


async def _serve(settings: Settings, *, ingests: bool, evaluates: bool, forwards: bool = False) -> None:
    from service.app import Role, running  # noqa: PLC0415 - see the module's docstring
    from service.server import Served, serve  # noqa: PLC0415

    with ExitStack() as listeners:
        port = ("DRIFT_HTTP__PORT", settings.http.port) if ingests else ("DRIFT_WORKER__PORT", settings.worker.port)
        unix = settings.http.unix_socket if ingests else None
        listener = listeners.enter_context(_listen(settings.http.host, *port) if unix is None else _listen_at(unix))
        apart = settings.http.metrics_port if ingests else None
        side = (
            None
            if apart is None
            else listeners.enter_context(_listen(settings.http.host, "DRIFT_HTTP__METRICS_PORT", apart))
        )
        # A container that is started again in its Pod has the name that it had before.
        role = Role(ingests, evaluates, f"{gethostname()}:{_place(listener)}", forwards)
        async with running(settings, role) as app:
            store = settings.store.url is None
            where = f"embedded, in {settings.store.embedded_directory}" if store else "external"
            extra = {"url": _url(listener, tls=app.state.tls is not None), "role": role.title, "store": where}
            extra |= {"forwards_to": settings.forward.url or ""} if forwards else {"trigger": settings.trigger.kind}
            if side is not None:
                extra["metrics"] = _url(side, tls=False)
            _log.info("listening", extra=extra)
            beside = None if side is None else Served(app.state.side, side)
            main = Served(app, listener, app.state.tls)
            await serve(main, settings.http.drain_seconds, app.state.stop_begins, beside)


def _listen(host: str, variable: str, port: int) -> socket:
    from service.server import listening_socket  # noqa: PLC0415 - see the module's docstring

    try:
        return listening_socket(host, port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}; set {variable}") from error


def _listen_at(path: Path) -> socket:
    from service.server import unix_socket  # noqa: PLC0415 - see the module's docstring

    try:
        return unix_socket(path)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {path}: {error.strerror}; set DRIFT_HTTP__UNIX_SOCKET") from error


def _place(listener: socket) -> str:
    """Its port, or its path."""
    address = listener.getsockname()
    return address if isinstance(address, str) else str(address[1])


def _url(listener: socket, *, tls: bool) -> str:
    if listener.family == AF_UNIX:
        return f"unix://{_place(listener)}"
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


@cli.group("key")
def key_group() -> None:
    """Make keys for callers."""


@key_group.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([verb.value for verb in Verb]),
    help="What the key is for; may be given several times.",
)
@click.option(
    "--model", "models", multiple=True, help="A model's name, or a beginning and *; several times. Default: *"
)
@click.option(
    "--append",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the line into this file, and print the key alone.",
)
def create_key_command(name: str, scopes: tuple[str, ...], models: tuple[str, ...], append: Path | None) -> None:
    """Make a key for the caller NAME. It is shown once: what is stored of it cannot be turned back.

    \b
    Inference pods, for models called fraud...:
      driftwarden key create fraud-pods --scope ingest --model 'fraud*'
    The line belongs into DRIFT_AUTHENTICATION__CALLERS_FILE, which is read again when it changes.
    """
    from service.adapters.access.callers_file import line_of  # noqa: PLC0415 - see the module's docstring

    key = new_key(secrets.token_bytes(KEY_BYTES))
    line = line_of(name, key, [Verb(scope) for scope in scopes], models or (ALL_MODELS,))
    if append is None:
        click.echo(f"# For the caller, and for nobody else:\n{key}\n# For DRIFT_AUTHENTICATION__CALLERS_FILE:\n{line}")
        return
    try:
        with append.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise click.ClickException(f"{append} cannot be written to: {error.strerror}") from error
    click.echo(key)


@cli.command("demo")
@click.option("--serve", is_flag=True, help="Leave the service running at the end, until Ctrl-C.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also draw the timeline (PNG, SVG, PDF).",
)
def demo_command(*, serve: bool, plot: Path | None) -> None:
    """The whole way through on real data, in about a minute.

    Starts the service with its embedded store, registers three months of departures from LaGuardia airport as the
    reference, replays the two months after them over HTTP as inference pods would, and shows the windows, the
    week that really was different, and the retraining Job. Needs no Redis and no cluster.
    """
    from service.demo.command import demonstrate  # noqa: PLC0415 - the service itself needs none of it

    if plot is not None and plot.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise click.ClickException("--plot must end with .png, .svg or .pdf: that says which format it is to have")
    if plot is not None and not plot.parent.is_dir():
        raise click.ClickException(f"{plot} cannot be written: there is no directory {plot.parent}")
    if not demonstrate(serve=serve, plot=plot):
        raise click.ClickException("the week that really drifted was not found: please report this")


@cli.command("export")
@click.argument("model")
@click.option("--verdict", "first", type=click.IntRange(min=1), required=True, help="Number of the (first) verdict.")
@click.option("--to", "last", type=click.IntRange(min=1), help="Number of the last one, for a period.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write: .parquet, .arrows (an Arrow IPC stream) or .csv.",
)
@click.option("--flagged", is_flag=True, help="Also the rows that are kept apart, and of every row its label.")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where the service listens.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the key or token to call with, where the service wants one (docs/security.md).",
)
def export_command(
    *, model: str, first: int, last: int | None, output: Path, flagged: bool, url: str, token_file: Path | None
) -> None:
    """Write the rows of judged windows of MODEL to a file, for labelling or retraining.

    Asks a running service, which has them while its store retains them (DRIFT_STORE__RETAINED_BYTES). The file
    has all rows of the windows, also of those that were judged by a sample, or is not written at all; but for rows
    that are flagged, where the plan keeps them apart (docs/anomalies.md). Columns are the features, and
    driftwarden_event_time, driftwarden_batch and driftwarden_verdict; with --flagged, driftwarden_label as well.

    \b
    Which windows drifted, and their numbers:
      curl 'http://127.0.0.1:8080/v1/models/churn/verdicts?limit=20'
    The rows of one of them:
      driftwarden export churn --verdict 12 --output window.csv
    Of an alarm's period, for retraining (the service needs the extra `arrow` for Parquet and Arrow):
      driftwarden export churn --verdict 12 --to 15 --output period.parquet
      python -c "import pyarrow.parquet; print(pyarrow.parquet.read_table('period.parquet'))"
    """
    from service.export_command import Wanted, export_to  # noqa: PLC0415 - the service itself needs none of it

    wanted = Wanted(url, model, first, first if last is None else last, token_file, flagged)
    written = export_to(output, wanted)
    click.echo(f"{output}: {written:,} bytes", err=True)


@cli.command("calibrate")
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--plan",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Plan to try, YAML or JSON; without it the default one.",
)
@click.option(
    "--reference-share",
    type=click.FloatRange(0.05, 0.95),
    default=0.6,
    show_default=True,
    help="Part of the rows, from the first on, that is the reference; the rest is the history.",
)
@click.option(
    "--time-column",
    help="Column with each row's time (ISO 8601 with a zone, or seconds or milliseconds since 1970). No feature.",
)
@click.option(
    "--shift",
    type=click.FloatRange(min=0.01, max=100),
    default=0.5,
    show_default=True,
    help="Size of the changes to plant, in standard deviations of each feature.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also draw what was found (PNG, SVG, PDF).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document in place of words.")
def calibrate_command(
    *,
    data: Path,
    plan: Path | None,
    reference_share: float,
    time_column: str | None,
    shift: float,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Try a plan on your own history: how often it would have woken you, and how soon it sees a change.

    DATA holds rows in time order (.csv, .parquet, .arrows, .npy or .json). The first part is the reference, the
    rest is judged window by window as the service would: the same cutting, tests, decisions and responses. Then a
    shift is planted into one feature at a time, at several calm moments. Needs no service, and changes nothing.

    \b
    The default plan, and what a month of it would have been:
      driftwarden calibrate rows.csv --time-column time
    A plan of your own, with a picture:
      driftwarden calibrate rows.parquet --plan plan.yaml --plot found.png
    """
    from rich.console import Console  # noqa: PLC0415 - the service itself needs none of it

    from service.calibrate_command import Asked, draw, in_json, simulated, tell  # noqa: PLC0415

    if plot is not None and plot.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise click.ClickException("--plot must end with .png, .svg or .pdf: that says which format it is to have")
    asked = Asked(data, plan, reference_share, time_column, shift)
    found = simulated(asked)
    if plot is not None:
        draw(found, plot)
    if as_json:
        click.echo(in_json(found))
    else:
        tell(found, asked, Console())


for _command in (
    keygen_command,
    sign_command,
    verify_command,
    inspect_command,
    vet_command,
    pin_command,
    verify_record_command,
    verify_provenance_command,
):
    cli.add_command(_command)


@cli.command("settings")
def settings_command() -> None:
    """List every setting: its environment variable, default and meaning."""
    for group, field in Settings.model_fields.items():
        annotation = field.annotation
        if annotation is None:
            continue
        summary = (annotation.__doc__ or "").strip()
        click.secho(f"\n{summary}", bold=True)
        for name, setting in annotation.model_fields.items():
            default = "" if setting.default is None else f" = {setting.default}"
            click.echo(f"  DRIFT_{group.upper()}__{name.upper()}{default}")
            click.echo(textwrap.indent(setting.description or "", " " * 6))


def _end_without_waiting() -> None:
    """Everything is closed; a window's test that still runs on its thread may take minutes, and nothing is made of it.

    Threads cannot be interrupted, and the interpreter would wait for them: longer than the grace of a Pod, perhaps.
    """
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _settings(given: dict[str, Any] | None = None) -> Settings:
    """`given` on the command line wins over the environment."""
    try:
        return Settings(**(given or {}))
    except ValidationError as error:
        lines = "".join(f"\n  {_said_of_settings(fault)}" for fault in error.errors())
        raise click.ClickException(f"these settings cannot be used:{lines}") from None


def _said_of_settings(fault: Any) -> str:
    name = "__".join(("DRIFT", *map(str, fault["loc"]))).upper().replace("__", "_", 1)
    if fault["type"] == "extra_forbidden":
        return f"{name} is no setting; `driftwarden settings` lists them"
    said = str(fault["msg"]).removeprefix("Value error, ")
    return f"{name}: {said}" if fault["loc"] else said


def _stop_before_serving(number: int, _: object) -> None:
    """Until the server has its own handler, there is nothing to drain."""
    sys.exit(128 + number)


def main() -> None:
    """Entry point of the `driftwarden` command: errors of ours are a line, not a traceback."""
    # As the first process of a container, a process without a handler is not ended by SIGTERM at all.
    signal.signal(signal.SIGTERM, _stop_before_serving)
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except InvalidInput as error:
        faults = InvalidInput(*error.faults[:_FAULTS_SHOWN])
        more = "; and more" if len(error.faults) > _FAULTS_SHOWN else ""
        click.secho(f"driftwarden: {faults}{more}", fg="red", err=True)
        sys.exit(1)
    except DriftwardenError as error:
        click.secho(f"driftwarden: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
