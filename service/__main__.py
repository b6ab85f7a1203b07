"""The command line.

What takes long to import is imported by the command that needs it: `--help` answers at once, and a signal that comes
while the service starts finds its handler.
"""

import asyncio
import logging
import os
import signal
import sys
import textwrap
import threading
from pathlib import Path
from socket import gethostname
from typing import Any

import click
from pydantic import ValidationError

from service.domain.errors import DriftwardenError
from service.settings import Settings
from service.telemetry.logging import configure

_log = logging.getLogger("driftwarden")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="driftwarden", prog_name="driftwarden")
def cli() -> None:
    """Drift detection and model integrity for models on Kubernetes.

    \b
    Try it on real data:         driftwarden demo
    Run the service:             driftwarden serve
    More hands to judge windows: driftwarden worker
    Beside an inference server:  driftwarden sidecar
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
    Jobs in a cluster:               DRIFT_TRIGGER__KIND=kubernetes driftwarden serve

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
    driftwarden sidecar --forward-to http://driftwarden.driftwarden:8080
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
    from service.server import listening_socket, serve  # noqa: PLC0415

    host, port = settings.http.host, settings.http.port if ingests else settings.worker.port
    try:
        listener = listening_socket(host, port)
    except OSError as error:
        variable = "DRIFT_HTTP__PORT" if ingests else "DRIFT_WORKER__PORT"
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}; set {variable}") from error
    with listener:
        taken = listener.getsockname()[1]
        # A container that is started again in its Pod has the name that it had before.
        role = Role(ingests, evaluates, f"{gethostname()}:{taken}", forwards)
        async with running(settings, role) as app:
            store = settings.store.url is None
            where = f"embedded, in {settings.store.embedded_directory}" if store else "external"
            url = f"http://{f'[{host}]' if ':' in host else host}:{taken}"
            extra = {"url": url, "role": role.title, "store": where}
            extra |= {"forwards_to": settings.forward.url or ""} if forwards else {"trigger": settings.trigger.kind}
            _log.info("listening", extra=extra)
            if ingests and host not in {"127.0.0.1", "::1", "localhost"}:
                _log.warning("callers are not authenticated: let only trusted networks reach this address")
            await serve(app, listener, settings.http.drain_seconds, app.state.stop_begins)


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

    if not demonstrate(serve=serve, plot=plot):
        raise click.ClickException("the week that really drifted was not found: please report this")


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
        lines = [f"  DRIFT_{'__'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        raise click.ClickException("these settings cannot be used:\n" + "\n".join(lines)) from None


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
    except DriftwardenError as error:
        click.secho(f"driftwarden: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
