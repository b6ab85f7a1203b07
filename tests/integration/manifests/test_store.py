"""The store of the component, as a real server understands its arguments."""

from pathlib import Path

from tests.integration.manifests.kustomize import Manifest
from tests.integration.manifests.objects import named
from tests.processes.fixtures import MakeStore


def test_the_store_keeps_what_it_was_given_and_never_evicts(
    documented: list[Manifest], make_store: MakeStore, tmp_path: Path
) -> None:
    container = named(documented, "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"][0]
    mounted = container["volumeMounts"][0]["mountPath"]
    arguments = [str(tmp_path) if argument == mounted else argument for argument in container["args"]]
    assert arguments != container["args"]  # it writes to its volume
    store = make_store("valkey", *arguments)
    with store.client() as client:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
        assert client.config_get(*wanted) == wanted
        client.xadd("log", {"row": "1"})
    store.kill()
    store.start()
    with store.client() as client:
        assert client.xlen("log") == 1
