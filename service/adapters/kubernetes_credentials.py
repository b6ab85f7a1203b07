"""The two ways into a Kubernetes API: the ServiceAccount of the Pod one is in, or a kubeconfig."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import to_thread
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, list_kube_config_contexts, load_kube_config
from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

from service.domain.errors import InvalidConfiguration

MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The token that the kubelet mounts into a Pod, and rotates."""

    directory: Path = MOUNTED

    async def load(self, configuration: Configuration) -> None:
        """Put them into the client's configuration; raises `ConfigException` only."""
        await _in_thread(self._load, configuration, self.directory)

    def namespace(self) -> str:
        """The Pod's own; raises `InvalidConfiguration`."""
        try:
            return (self.directory / "namespace").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidConfiguration(f"the namespace of this Pod is not known, name one: {error}") from error

    def _load(self, configuration: Configuration) -> None:
        loader = InClusterConfigLoader(str(self.directory / "token"), str(self.directory / "ca.crt"))
        loader.load_and_set(configuration)
        reread: Any = configuration.refresh_api_key_hook  # the driver's own: reads the token again once a minute

        async def reread_in_thread(configuration: Configuration) -> None:
            await _in_thread(reread, configuration, self.directory)

        configuration.refresh_api_key_hook = reread_in_thread


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """One context of a kubeconfig."""

    path: str
    """As in KUBECONFIG: a file, or several to be merged."""
    context: str | None = None
    """None: the current one."""

    async def load(self, configuration: Configuration) -> None:
        """Put them into the client's configuration; raises `ConfigException` only."""
        await _in_thread(self._load, configuration, self.path)

    def namespace(self) -> str:
        """The context's, else `default`; raises `InvalidConfiguration`."""
        if not self._is_there():
            raise InvalidConfiguration(f"there is no kubeconfig {self.path} that would say the namespace: name both")
        try:
            contexts, current = list_kube_config_contexts(self.path)
            named = [each for each in contexts if each["name"] == self.context]
            chosen: Any = named[0] if self.context else current
            return str(chosen["context"].get("namespace") or "default")
        except Exception as error:
            place = f"the kubeconfig {self.path}"
            raise InvalidConfiguration(f"{place} has no context {self.context or '(current)'}: {error}") from error

    def _load(self, configuration: Configuration) -> None:
        if not self._is_there():
            raise ConfigException("there is no such file")
        asyncio.run(load_kube_config(self.path, self.context, configuration, persist_config=False))

    def _is_there(self) -> bool:
        return any(Path(part).is_file() for part in self.path.split(os.pathsep))


Credentials = ServiceAccount | Kubeconfig


def find_credentials(kubeconfig: Path | None = None, context: str | None = None) -> Credentials:
    """The kubeconfig if one is named, the ServiceAccount inside a Pod, and elsewhere what kubectl would use."""
    if kubeconfig is not None:
        return Kubeconfig(str(kubeconfig), context)
    if context is None and (MOUNTED / "token").exists():
        return ServiceAccount()
    return Kubeconfig(os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config"), context)


async def _in_thread(load: Callable[[Configuration], None], configuration: Configuration, place: Path | str) -> None:
    """The loaders read files, and the event loop has other things to serve.

    A broken file makes them trip over whatever they meet first, so every error of theirs is a `ConfigException` here.
    """
    try:
        await to_thread.run_sync(load, configuration)
    except Exception as error:
        raise ConfigException(f"no credentials for the Kubernetes API in {place}: {error}") from error
