"""How the trigger gets into the API, and stays in it when its token changes."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.adapters.kubernetes_credentials import Kubeconfig, ServiceAccount, find_credentials
from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger
from service.adapters.trigger.template import SHIPPED_TEMPLATE, Template, read_template
from service.domain.errors import InvalidConfiguration, TriggerUnavailable
from service.domain.models import TriggerOutcome
from tests.cluster.fixtures import Account
from tests.unit.service.adapters.trigger.requests import order, retrain_request

pytestmark = pytest.mark.anyio

REQUEST = retrain_request()


@pytest.fixture
def mounted(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a kubelet gives to a Pod: two files and two variables."""
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    (directory / "token").write_text(account.token, encoding="utf-8")
    (directory / "ca.crt").write_bytes(account.cluster.ca_file.read_bytes())
    server = urlsplit(account.cluster.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", server.hostname or "")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port or 443))
    return directory


async def test_inside_a_pod_the_mounted_token_is_enough(mounted: Path, template: Template) -> None:
    async with KubernetesObjectTrigger(template, ServiceAccount(mounted)) as trigger:
        assert (await trigger.fire(order(REQUEST))).outcome is TriggerOutcome.CREATED


async def test_a_rotated_mounted_token_is_noticed(mounted: Path, account: Account, template: Template) -> None:
    (mounted / "token").write_text("expired", encoding="utf-8")
    async with KubernetesObjectTrigger(template, ServiceAccount(mounted)) as trigger:
        with pytest.raises(TriggerUnavailable, match=r"\(401\)"):
            await trigger.fire(order(REQUEST))
        (mounted / "token").write_text(account.token, encoding="utf-8")
        assert (await trigger.fire(order(REQUEST))).outcome is TriggerOutcome.CREATED
        (mounted / "token").unlink()
        assert (
            await trigger.fire(order(REQUEST))
        ).outcome is TriggerOutcome.ALREADY_EXISTS  # the last one read still serves


async def test_a_rotated_token_file_of_a_kubeconfig_is_noticed(account: Account, template: Template) -> None:
    good, token = account.token, account.kubeconfig.with_name("token")
    token.write_text("expired", encoding="utf-8")
    async with KubernetesObjectTrigger(template, Kubeconfig(str(account.kubeconfig))) as trigger:
        with pytest.raises(TriggerUnavailable, match=r"\(401\)"):
            await trigger.fire(order(REQUEST))
        token.write_text(good, encoding="utf-8")
        assert (await trigger.fire(order(REQUEST))).outcome is TriggerOutcome.CREATED


@pytest.mark.parametrize("broken", ["", "\xff"])
async def test_a_token_that_cannot_be_used_is_unavailable(
    mounted: Path, account: Account, template: Template, broken: str
) -> None:
    (mounted / "token").write_text("expired", encoding="utf-8")
    async with KubernetesObjectTrigger(template, ServiceAccount(mounted)) as trigger:
        (mounted / "token").write_text(broken, encoding="latin-1")
        with pytest.raises(TriggerUnavailable):
            await trigger.fire(order(REQUEST))
        (mounted / "token").write_text(account.token, encoding="utf-8")
        assert (await trigger.fire(order(REQUEST))).outcome is TriggerOutcome.CREATED


async def test_a_server_with_another_authority_is_not_spoken_to(mounted: Path, template: Template) -> None:
    (mounted / "ca.crt").write_text(SOMEBODY_ELSES_AUTHORITY, encoding="utf-8")
    async with KubernetesObjectTrigger(template, ServiceAccount(mounted)) as trigger:
        with pytest.raises(TriggerUnavailable, match="certificate verify failed"):
            await trigger.fire(order(REQUEST))


async def test_outside_a_pod_and_without_a_kubeconfig_opening_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    trigger = KubernetesObjectTrigger(read_template(SHIPPED_TEMPLATE, "training"), ServiceAccount(tmp_path))
    with pytest.raises(InvalidConfiguration, match="Service host/port is not set"):
        await trigger.open()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{clusters: []}", "{current-context: a, contexts: []}"])
async def test_a_kubeconfig_that_cannot_be_used_is_named_when_opening(tmp_path: Path, content: str | None) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content, encoding="utf-8")
    trigger = KubernetesObjectTrigger(read_template(SHIPPED_TEMPLATE, "training"), Kubeconfig(str(kubeconfig)))
    with pytest.raises(InvalidConfiguration, match=str(kubeconfig)):
        await trigger.open()


async def test_closing_twice_has_no_effect_and_firing_unopened_is_a_mistake_of_the_caller(template: Template) -> None:
    trigger = KubernetesObjectTrigger(template, ServiceAccount())
    await trigger.aclose()
    await trigger.aclose()
    with pytest.raises(RuntimeError, match="is not open"):
        await trigger.fire(order(REQUEST))


async def test_a_kubeconfig_knows_its_contexts_namespace(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{clusters: [{name: c, cluster: {server: x}}], users: [{name: u, user: {}}], current-context: a, contexts: ["
        "{name: a, context: {cluster: c, user: u, namespace: here}}, {name: b, context: {cluster: c, user: u}}]}",
        encoding="utf-8",
    )
    assert find_credentials(kubeconfig).namespace() == "here"
    assert find_credentials(kubeconfig, "b").namespace() == "default"
    with pytest.raises(InvalidConfiguration, match="there is no kubeconfig"):
        Kubeconfig(str(tmp_path / "none")).namespace()
    with pytest.raises(InvalidConfiguration, match="has no context c"):
        find_credentials(kubeconfig, "c").namespace()


async def test_inside_a_pod_the_namespace_is_the_pods_own(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="namespace of this Pod is not known"):
        ServiceAccount(tmp_path).namespace()
    (tmp_path / "namespace").write_text("training\n", encoding="utf-8")
    assert ServiceAccount(tmp_path).namespace() == "training"


async def test_without_a_choice_it_is_what_kubectl_would_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert find_credentials() == Kubeconfig(str(tmp_path / ".kube" / "config"))
    monkeypatch.setenv("KUBECONFIG", "/one:/two")
    assert find_credentials(context="a") == Kubeconfig("/one:/two", "a")


SOMEBODY_ELSES_AUTHORITY = """-----BEGIN CERTIFICATE-----
MIIBiDCCAS2gAwIBAgIUe6RhWLNy8F0QF7i85MYtz6XG+DwwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNc29tZWJvZHktZWxzZTAgFw0yNjExMjMwODU4MzBaGA8yMTI2
MTAzMDA4NTgzMFowGDEWMBQGA1UEAwwNc29tZWJvZHktZWxzZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABIJHWmWpA6pMK03KBEPA7TdngL9Wr3rFyUwb+Ik0qJug
KJDxmJIcCEGC+c2KFGLrb/xg9a9WOQejVu2fR6foSryjUzBRMB0GA1UdDgQWBBTB
zKW0Va0tLuwjKbCsFmWwGGP1dTAfBgNVHSMEGDAWgBTBzKW0Va0tLuwjKbCsFmWw
GGP1dTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQC+dkh7j0hV
WPfZu4q/hsEnIkEle54BGiGN+/fYPTJt/QIhANKCvT3CSknT+wNS+1mP0xUqXGkH
rebegN57zXphSKat
-----END CERTIFICATE-----
"""
