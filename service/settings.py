"""Every knob of the service. Read by the composition root and the command line only; adapters take plain arguments.

Each is an environment variable: `DRIFT_`, the group, two underscores, the name, e.g. `DRIFT_STORE__URL`. The prefix is
not the product's name because Kubernetes itself sets `DRIFTWARDEN_PORT` in every pod beside a Service of that name.
What differs from model to model (detectors, windows, budgets, responses) is a plan, not a setting.
"""

from os import environ
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HttpSettings(_Group):
    """The HTTP edge."""

    host: str = "127.0.0.1"
    """Address to listen on. Beyond this machine the service starts only if callers are authenticated, or
    DRIFT_AUTHENTICATION__MODE says that they are not."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes a free one."""
    unix_socket: Path | None = None
    """Unix socket to listen on in place of HOST and PORT; whoever may enter its directory reaches it."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of /livez, /readyz and /metrics, where nobody is asked who they are, without TLS; 0 takes a free one.

    None: /metrics is on the port of everything else, for callers with the verb `metrics`."""
    tls_certificate_file: Path | None = None
    """PEM file of this server's certificate, with what leads to its authority. None: no TLS.

    Renewed files are noticed."""
    tls_key_file: Path | None = None
    """PEM file of its key. None: it is in the certificate's file."""
    client_ca_file: Path | None = None
    """PEM file of the authorities whose client certificates are believed. None: clients are not asked for one."""
    max_body_bytes: PositiveInt = 4 * 2**20
    """Largest body of a batch of observations: some 10,000 rows of 20 features as JSON."""
    max_reference_bytes: PositiveInt = 128 * 2**20
    """Largest body of a reference."""
    max_requests: PositiveInt = 256
    """Batches under way at the same time; beyond it callers get 503, and a model beyond its share 429."""
    max_bytes_under_way: PositiveInt = 64 * 2**20
    """Bytes of their bodies, likewise."""
    body_seconds: PositiveFloat = 10.0
    """How long a batch's body may take to arrive; beyond it callers get 408."""
    pair_seconds: PositiveFloat = 60.0
    """How long a logged request waits for its response, or the other way round, where features are outputs."""
    pair_bytes: PositiveInt = 16 * 2**20
    """Bytes of them that may wait in this process, about."""
    drain_seconds: PositiveInt = 20
    """How long requests under way may take after SIGTERM; below Kubernetes' default grace of 30."""


class AuthenticationSettings(_Group):
    """Who may call. Any of these ways may be used together; docs/security.md says how."""

    mode: Literal["auto", "none"] = "auto"
    """`auto`: callers are authenticated as soon as a way to is set; without one, only this machine is listened to.

    `none`: callers are not authenticated, whatever else is set and wherever the service listens."""
    callers_file: Path | None = None
    """File of keys' digests and of certificates' names, with what each may do (`driftwarden key create`)."""
    kubernetes_audience: str | None = None
    """Audience of the tokens of Kubernetes that are accepted (TokenReview). None: none are."""
    kubernetes_namespace: str | None = None
    """Namespace whose Roles say what they may do. None: that of the service account, or of the kubeconfig's context."""
    kubernetes_seconds: Annotated[float, Field(gt=0, le=60)] = 30.0
    """How long an answer of the API server is believed."""
    kubernetes_timeout_seconds: PositiveFloat = 5.0
    """Longest wait for one; beyond it callers get 503."""
    kubeconfig: Path | None = None
    """None: the pod's service account, and outside a pod the usual kubeconfig."""
    context: str | None = None
    """Context of the kubeconfig. None: its current one."""


class StoreSettings(_Group):
    """The Redis or Valkey that holds windows, verdicts, references and the outbox."""

    url: str | None = None
    """Any Redis >= 6.2 or Valkey; `rediss` instead of `redis` demands TLS. None: the embedded Valkey.

    redis://host:6379/0, redis+sentinel://h1:26379,h2:26379/master-name/0, redis+cluster://h1:6379,h2:6379 or
    unix:///path; docs/operations.md has a line for each."""
    username: str | None = None
    """User (ACL) to log in as, with DRIFT_STORE__PASSWORD_FILE. None: the URL's, or the default user."""
    password_file: Path | None = None
    """File that holds the password and nothing else; read anew for every connection. None: the URL's, or none."""
    sentinel_username: str | None = None
    """User at the Sentinels, which do not get the store's."""
    sentinel_password_file: Path | None = None
    """File that holds the password of the Sentinels."""
    tls_ca_file: Path | None = None
    """PEM file of the only authority whose certificates are accepted. None: those that the system trusts."""
    tls_certificate_file: Path | None = None
    """PEM file of this client's certificate, where the store asks for one."""
    tls_key_file: Path | None = None
    """PEM file of its key. None: it is in the certificate's file."""
    tls_check_hostname: bool = True
    """False: any name in a certificate of that authority will do."""
    embedded_directory: Path = Path(".driftwarden")
    """Where the embedded Valkey keeps its data; it survives restarts."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")] = "driftwarden"
    """First part of every key, so that a server may be shared."""
    timeout_seconds: PositiveFloat = 1.5
    """Longest wait for one answer; beyond it callers get 503 and Retry-After, within two seconds (docs/promises.md)."""
    max_waiting_batches: Annotated[int, Field(ge=500)] = 100_000
    """Batches that a model's log may hold; beyond it callers get 429. At 16 KiB a batch: 1.6 GB.

    More than the rows of the largest window, if rows may come one a batch: a window that does not fit is never cut."""
    retained_bytes: Annotated[int, Field(ge=0)] = 16 * 2**20
    """Bytes of judged rows that stay in the store for each model, so that they can be exported; 0: none.

    At the most two fifths of max_waiting_batches stay. What a window to come has rows of always does."""
    retained_seconds: PositiveInt | None = None
    """Judged rows that arrived so long before the newest judged ones are dropped, too. None: bytes alone decide."""
    kept_batches: Annotated[int, Field(ge=0)] = 1_000
    """Batches behind the oldest retained one within which a repeated one is noticed: of these, identifiers are kept."""
    prediction_bytes: Annotated[int, Field(ge=0)] = 16 * 2**20
    """Bytes of predictions that wait for their labels, of each model whose plan has `performance`; 0: none.

    The oldest go first. A prediction takes 8 bytes, its batch some 150. One batch has at most a 64th of it."""
    kept_verdicts: PositiveInt = 10_000
    """Verdicts kept of each model, about 2 to 20 KB each."""
    kept_retraining_entries: Annotated[int, Field(ge=100)] = 10_000
    """Entries kept of each model's record of retraining, about 1 to 5 KB each; also when the model is deleted."""

    acknowledge: Literal["memory", "log", "fsync"] = "log"
    """What a batch's answer promises: it is in this process's memory, in the store's log, or on the store's disk."""
    memory_bytes: PositiveInt = 64 * 2**20
    """Bytes of acknowledged batches that may wait for the store at the level `memory`; beyond it callers get 429."""
    appendfsync_always: bool = False
    """True: the store is known to run `appendfsync always`, which `fsync` rests on. False: it is asked at start."""
    remembered_seconds: PositiveInt = 300
    """How long a name given to a batch stays bound to its body: another one under it gets 409. Some 250 bytes each."""

    @property
    def retained_batches(self) -> int:
        """Judged ones count against the limit: what remains holds the largest window, were its rows to come singly."""
        return self.max_waiting_batches * 2 // 5


class EvaluationSettings(_Group):
    """Testing windows."""

    poll_seconds: PositiveFloat = 1.0
    """How often the log is looked at for rows that came in through other replicas; own rows are noticed at once."""
    threads: PositiveInt = 1
    """Windows tested at the same time, each of another model."""
    claim_seconds: PositiveFloat = 5.0
    """How long a model that a replica has claimed waits for it, should it be killed, before another takes it over."""


class WorkerSettings(_Group):
    """`driftwarden worker`, which takes no observations."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """Port of /livez, /readyz and /metrics, on DRIFT_HTTP__HOST; 0 takes a free one."""


class ForwardSettings(_Group):
    """`driftwarden sidecar`, which judges nothing and forwards what it takes to a central service."""

    url: str | None = None
    """The central service, e.g. `http://driftwarden.driftwarden`; `--forward-to` says the same."""
    token_file: Path | None = None
    """File that holds the key or token for it and nothing else, sent as `Bearer`; read anew for every request."""
    tls_ca_file: Path | None = None
    """PEM file of the only authority whose certificates are accepted. None: those that the system trusts."""
    tls_certificate_file: Path | None = None
    """PEM file of this client's certificate, where the central service asks for one."""
    tls_key_file: Path | None = None
    """PEM file of its key. None: it is in the certificate's file."""
    timeout_seconds: PositiveFloat = 10.0
    """Longest wait for one answer of it."""
    pane_seconds: PositiveFloat = 5.0
    """Rows are forwarded when the oldest of them has waited so long ..."""
    pane_rows: PositiveInt = 10_000
    """... or there are so many of one model; fewer, where they are wide or a window is smaller."""
    max_bytes: PositiveInt = 64 * 2**20
    """What may wait while the central service is away, of all models together; beyond it senders get 429.

    It takes as much memory in the embedded store, and up to three times as much on disk."""
    refresh_seconds: PositiveFloat = 30.0
    """How often references and plans are asked for anew; the central service says at once when they no longer fit."""
    first_retry_seconds: PositiveFloat = 0.5
    """Wait before the central service is tried again; doubles with every try ..."""
    longest_retry_seconds: PositiveFloat = 15.0
    """... up to this, and is shortened at random by up to half."""
    flush_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long forwarding what still waits may take after SIGTERM, when requests under way are finished."""


class ComputeSettings(_Group):
    """Where detectors compute."""

    library: Literal["numpy", "torch"] = "numpy"
    """`torch` needs the extra `torch`; it is imported only if it is chosen."""
    device: str = "cpu"
    """As torch names it: `cpu`, `cuda`, `cuda:1`. numpy computes on `cpu`."""
    alibi_detect: bool = False
    """True: plans may name alibi-detect's detectors (`alibi_ks_drift` and others; extra `alibi`, numpy 1).

    It is not open source: Business Source License 1.1, and production use needs a licence from its owner."""


class TriggerSettings(_Group):
    """What starts retraining."""

    kind: Literal["dry_run", "kubernetes"] = "dry_run"
    """`kubernetes` creates the template's object through the API server; `dry_run` only says what it would create."""
    template: Path | None = None
    """YAML of the object to create. None: the shipped Job, which must be edited before it trains anything."""
    retrainings: Path | None = None
    """File that says for each model what runs are made from: template, dataset, base model; docs/vetting.md."""
    vetting: Literal["enforce", "advisory"] | None = None
    """`enforce`: nothing is trained on that is not signed and vetted. `advisory`: what is wrong is written down only.

    None: `enforce` for `kubernetes`, `advisory` for `dry_run`."""
    namespace: str | None = None
    """Namespace to create it in. None: that of the service account, or of the kubeconfig's context."""
    kubeconfig: Path | None = None
    """None: the pod's service account, and outside a pod the usual kubeconfig."""
    context: str | None = None
    """Context of the kubeconfig. None: its current one."""
    timeout_seconds: PositiveFloat = 10.0
    """Longest wait for the API server's answer."""
    first_retry_seconds: PositiveFloat = 1.0
    """Wait before an undelivered action is tried again; doubles with every try ..."""
    longest_retry_seconds: PositiveFloat = 60.0
    """... up to this."""
    signing_key_file: Path | None = None
    """The service's own key (`driftwarden keygen`, unencrypted), the same for all replicas; docs/custody.md.

    It signs drift events, permissions, and what is handed out of the record. None: nothing is, and nothing need be."""


class IntegritySettings(_Group):
    """What is verified again and again; docs/integrity.md."""

    targets: Path | None = None
    """File that says which signed files are watched, who is trusted, and what readiness rests on. None: none are."""
    reference_seconds: Annotated[float, Field(ge=1)] = 300.0
    """How often the store's registration and reference of a model that is judged here are read again."""


class EventsSettings(_Group):
    """Who is told, as CloudEvents, what has happened; docs/integrity.md."""

    url: str | None = None
    """Where they are sent: http://... or https://.... None: nowhere.

    Never to link-local and metadata addresses, whatever its name resolves to."""
    allow_loopback: bool = False
    """True: URL may lead to this machine itself, e.g. to another container of the Pod."""
    signing_secret_file: Path | None = None
    """File whose lines are secrets that bodies are signed with (Standard Webhooks): 24 to 64 random bytes in base64.

    Read anew for every event. None: they are not signed."""
    ca_file: Path | None = None
    """PEM file of the only authorities that are believed; None: those of the system."""
    source: Annotated[str, Field(min_length=1, max_length=200)] = "/driftwarden"
    """`source` of every event, a URI or a part of one: to tell services apart."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Longest wait for one answer."""


class TelemetrySettings(_Group):
    """Logs, metrics and traces. Traces leave only if OTEL_EXPORTER_OTLP_ENDPOINT says where to."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written to standard error."""
    log_format: Literal["text", "json"] = "text"
    """`json`: one object a line."""
    max_models: PositiveInt = 200
    """Models with metrics of their own; further ones are counted together as `other`."""
    max_features: PositiveInt = 50
    """Features of one model with metrics of their own."""


class Settings(BaseSettings):
    """All groups."""

    model_config = SettingsConfigDict(env_prefix="DRIFT_", env_nested_delimiter="__", frozen=True, extra="forbid")

    http: HttpSettings = HttpSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    store: StoreSettings = StoreSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    worker: WorkerSettings = WorkerSettings()
    forward: ForwardSettings = ForwardSettings()
    compute: ComputeSettings = ComputeSettings()
    trigger: TriggerSettings = TriggerSettings()
    integrity: IntegritySettings = IntegritySettings()
    events: EventsSettings = EventsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @model_validator(mode="after")
    def _refuse_unknown_groups(self) -> Self:
        # pydantic-settings looks for the names it knows. Two underscores tell a misspelt setting from the variables
        # that Kubernetes sets beside a Service called `drift` (DRIFT_PORT and so on).
        for variable in map(str.upper, environ):
            group, nested, _ = variable.removeprefix("DRIFT_").partition("__")
            if variable.startswith("DRIFT_") and nested and group.lower() not in type(self).model_fields:
                raise ValueError(f"{variable} is no setting; `driftwarden settings` lists them")
        return self
