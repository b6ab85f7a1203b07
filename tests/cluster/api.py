"""What the tests ask of any Kubernetes API: apply, read, delete, and act as a ServiceAccount."""

import base64
import json
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Manifest = Mapping[str, Any]
REQUEST_TIMEOUT_S = 10.0


class ApiError(Exception):
    """The API answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Cluster:
    """An administrator's way into one cluster."""

    server: str
    """Base URL of the API."""
    kubeconfig: Path
    """The administrator's kubeconfig."""
    ca_file: Path
    client_certificate: Path | None = None
    client_key: Path | None = None
    token: str | None = None
    _plurals: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict, repr=False)

    @classmethod
    def from_kubeconfig(cls, kubeconfig: Path, directory: Path) -> "Cluster":
        """Read the current context; certificates and tokens only, since an exec plugin is somebody's program."""
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        if "exec" in user or "auth-provider" in user:
            raise ValueError(f"{kubeconfig}: the tests need a client certificate or a token, not an exec plugin")
        ca_file = _file(cluster, "certificate-authority", kubeconfig, directory)
        if ca_file is None:
            raise ValueError(f"{kubeconfig}: the cluster has no certificate-authority")
        return cls(
            server=cluster["server"].rstrip("/"),
            kubeconfig=kubeconfig,
            ca_file=ca_file,
            client_certificate=_file(user, "client-certificate", kubeconfig, directory),
            client_key=_file(user, "client-key", kubeconfig, directory),
            token=user.get("token"),
        )

    def version(self) -> str:
        return str(self.request("GET", "/version")["gitVersion"])

    def apply(self, manifests: Iterable[Manifest], namespace: str | None = None) -> None:
        """Create or update objects of any kind, in order; `namespace` is for those that name none."""
        for manifest in manifests:
            self.request(
                "PATCH", f"{self.path_of(manifest, namespace)}?fieldManager=driftwarden-tests&force=true", manifest
            )

    def path_of(self, manifest: Manifest, namespace: str | None = None) -> str:
        """Give the path of one object, asking the API for the plural of its kind."""
        plural, namespaced = self._resource(str(manifest["apiVersion"]), str(manifest["kind"]))
        metadata = manifest["metadata"]
        within = f"/namespaces/{metadata.get('namespace', namespace or 'default')}" if namespaced else ""
        return f"{_group_path(str(manifest['apiVersion']))}{within}/{plural}/{metadata['name']}"

    def items(self, path: str) -> list[dict[str, Any]]:
        """List a collection, e.g. `/apis/batch/v1/namespaces/x/jobs`."""
        return list(self.request("GET", path)["items"])

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        metadata = {"name": name, "labels": dict(labels or {})}
        self.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def delete_namespace(self, name: str) -> None:
        """Ask for a namespace's end, without waiting for it."""
        self.request("DELETE", f"/api/v1/namespaces/{name}")

    def service_account_token(self, namespace: str, name: str, audience: str | None = None) -> str:
        """Mint a token with TokenRequest, as a kubelet does for a Pod; without an audience it is for the API itself."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        body["spec"] = {"expirationSeconds": 3600, **({"audiences": [audience]} if audience else {})}
        return str(self.request("POST", path, body)["status"]["token"])

    def service_account_kubeconfig(self, namespace: str, name: str, directory: Path) -> Path:
        """Write a kubeconfig for a ServiceAccount; its token lies beside it, so that a test can rotate it."""
        directory.mkdir(parents=True, exist_ok=True)
        token = directory / "token"
        token.write_text(self.service_account_token(namespace, name), encoding="utf-8")
        return write_kubeconfig(directory / "kubeconfig", self.server, self.ca_file, {"tokenFile": str(token)})

    def request(
        self, method: str, path: str, body: object = None, *, token: str | None = None, patch: str = "apply-patch+yaml"
    ) -> dict[str, Any]:
        """Send one request, as the administrator or with the given token; raise ApiError for an error status."""
        content_type = f"application/{patch if method == 'PATCH' else 'json'}"  # JSON is YAML
        request = urllib.request.Request(
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type, "Accept": "application/json"},
        )
        if bearer := token or self.token:
            request.add_header("Authorization", f"Bearer {bearer}")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=self._tls(with_certificate=token is None)),
        )
        try:
            with opener.open(request, timeout=REQUEST_TIMEOUT_S) as response:
                raw = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, error.read().decode(errors="replace")) from error
        answer = json.loads(raw) if raw.startswith(b"{") else {"text": raw.decode()}
        return dict(answer)

    def _tls(self, *, with_certificate: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if with_certificate and self.client_certificate is not None:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        if (api_version, kind) not in self._plurals:
            for resource in self.request("GET", _group_path(api_version))["resources"]:
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = (resource["name"], resource["namespaced"])
        return self._plurals[api_version, kind]


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float, period_s: float = 0.05) -> None:
    """Ask again and again until the condition holds, or fail saying what was waited for."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(period_s)
    raise TimeoutError(f"{what}: not within {timeout_s:g} s")


def load_manifests(path: Path) -> list[dict[str, Any]]:
    """Read every document of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def write_kubeconfig(path: Path, server: str, ca_file: Path, user: Mapping[str, str]) -> Path:
    """Write a kubeconfig with one cluster, one user and one context."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": server, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "tests", "user": dict(user)}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "current-context": "tests",
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    path.chmod(0o600)
    return path


def _group_path(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _named(entries: Iterable[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _file(section: Mapping[str, Any], key: str, kubeconfig: Path, directory: Path) -> Path | None:
    if path := section.get(key):
        return kubeconfig.parent / str(path)
    if data := section.get(f"{key}-data"):
        with tempfile.NamedTemporaryFile(dir=directory, prefix=f"{key}-", delete=False) as written:
            written.write(base64.b64decode(data))
        return Path(written.name)
    return None
