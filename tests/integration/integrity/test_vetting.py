"""What is not signed, vetted, new enough and pinned is not trained on: a name for each way, on real files (case 53)."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from service.adapters.artifacts.elliptic_keys import EllipticKey, read_private_key
from service.domain.errors import InvalidConfiguration, VettingUnavailable
from service.domain.integrity.envelope import parse_bundle
from service.domain.integrity.statement import Kind
from service.domain.models import ModelName
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.run_sources import is_enforced, read_sources
from service.settings import TriggerSettings
from service.usecases.vet_run import VetRun
from tests.processes.vetted import IMAGE, Vetted
from tests.unit.service.adapters.artifacts.authorities import BETWEEN, MAIL, ROOT, SIGNER
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio


@pytest.fixture
def vetted(tmp_path: Path) -> Vetted:
    return Vetted(tmp_path)


def vetting(vetted: Vetted, *, enforced: bool = True, service_key: str | None = None) -> VetRun:
    settings = TriggerSettings(retrainings=vetted.file)
    sources = read_sources(settings, "retraining", service_key, lambda: datetime.now(UTC))
    return VetRun(sources.source_of, None, enforced=enforced)


async def found(vetted: Vetted, *, used: int | None = None, **how: Any) -> Evidence | Refusal:
    return await vetting(vetted, **how).vet(retrain_request(), used)


async def test_what_is_as_it_should_be_is_permitted_with_all_that_this_rests_on(vetted: Vetted) -> None:
    evidence = await found(vetted, used=3)
    assert isinstance(evidence, Evidence)
    assert evidence.template_digest == vetted.entry()["template"]["digest"]
    assert list(evidence.images) == [IMAGE]
    assert (evidence.dataset_digest, evidence.dataset_version) == (vetted.digest, 3)
    assert evidence.approver == vetted.approver.fingerprint
    assert evidence.base_model_digest is not None
    assert not evidence.advisories


def without(name: str) -> Callable[[Vetted], None]:
    return lambda vetted: (vetted.folder / name).unlink()


def written(name: str, text: str) -> Callable[[Vetted], None]:
    def write(vetted: Vetted) -> None:
        (vetted.folder / name).write_text(text)

    return write


def said(change: Callable[[dict[str, Any]], object]) -> Callable[[Vetted], None]:
    """The retrainings file says something else."""

    def say(vetted: Vetted) -> None:
        entry = vetted.entry()
        change(entry)
        vetted.say(entry)

    return say


def of_another_signer(vetted: Vetted) -> None:
    vetted.sign_dataset(EllipticKey.new("P-256"))


def approver_signs(vetted: Vetted) -> None:
    """Approver and requester are one, and trusted with both."""
    vetted.trust("datasets.yaml", vetted.signer, vetted.approver)
    vetted.sign_dataset(vetted.approver)
    vetted.vet(requester=vetted.approver.fingerprint)


def signer(**limits: Any) -> Callable[[Vetted], None]:
    return lambda vetted: vetted.trust("datasets.yaml", vetted.signer, **limits)


def approver(**limits: Any) -> Callable[[Vetted], None]:
    return lambda vetted: vetted.trust("approvers.yaml", vetted.approver, **limits)


def edited_vetting(vetted: Vetted) -> None:
    """By whoever has no key: what is signed is another payload."""
    file = vetted.folder / "fraud.vetting"
    bundle = parse_bundle(file.read_bytes())
    file.write_bytes(replace(bundle, payload=bundle.payload.replace(b"labels", b"labelz")).encode())


def approver_may_sign(vetted: Vetted) -> None:
    vetted.trust("datasets.yaml", vetted.signer, vetted.approver)


def linked(vetted: Vetted) -> None:
    (vetted.dataset / "more" / "rows.csv").unlink()
    (vetted.dataset / "more" / "rows.csv").symlink_to(vetted.template)


def signed_with_a_model_key(vetted: Vetted) -> None:
    vetted.trust("datasets.yaml", vetted.releaser)
    vetted.sign_dataset(vetted.releaser)


def code_by_a_data_key(vetted: Vetted) -> None:
    (vetted.dataset / "rows.pkl").write_bytes(
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93."
    )
    vetted.trust("datasets.yaml", vetted.signer, data_only=True)
    vetted.sign_dataset()
    vetted.vet()


def signed_as_a_model(vetted: Vetted) -> None:
    vetted.sign("fraud", vetted.signer, Kind.MODEL, 3)


WRONG: dict[str, tuple[Callable[[Vetted], object], Check, str]] = {
    "no dataset is named": (said(lambda entry: entry.pop("dataset")), Check.DATASET_SIGNATURE, "no_dataset"),
    "unsigned": (without("fraud.sig"), Check.DATASET_SIGNATURE, "dataset_unsigned"),
    "no signature": (written("fraud.sig", "{}"), Check.DATASET_SIGNATURE, "dataset_signature_unusable"),
    "another signer": (of_another_signer, Check.DATASET_SIGNATURE, "dataset_signer_not_trusted"),
    "signed as a model": (signed_as_a_model, Check.DATASET_SIGNATURE, "dataset_signer_not_trusted"),
    "signed with a model's key": (signed_with_a_model_key, Check.DATASET_SIGNATURE, "dataset_signer_not_trusted"),
    "signer revoked": (signer(revoked=True), Check.DATASET_SIGNATURE, "dataset_signer_not_trusted"),
    "signer expired": (signer(not_after="2026-01-01"), Check.DATASET_SIGNATURE, "dataset_signer_not_trusted"),
    "signer of models": (signer(kinds=["model"]), Check.DATASET_SIGNATURE, "dataset_signer_not_trusted"),
    "changed": (written("fraud/rows.csv", "a,b\n1,3\n"), Check.DATASET_BYTES, "dataset_tampered"),
    "a file more": (written("fraud/extra.csv", ""), Check.DATASET_BYTES, "dataset_tampered"),
    "a file less": (without("fraud/more/rows.csv"), Check.DATASET_BYTES, "dataset_tampered"),
    "a link": (linked, Check.DATASET_BYTES, "dataset_tampered"),
    "code by a key for data": (code_by_a_data_key, Check.DATASET_BYTES, "dataset_content_refused"),
    "no vetting is named": (said(lambda entry: entry["dataset"].pop("vetting")), Check.VETTING, "not_vetted"),
    "not vetted": (without("fraud.vetting"), Check.VETTING, "not_vetted"),
    "no statement": (written("fraud.vetting", "null"), Check.VETTING, "vetting_unusable"),
    "another statement": (
        lambda vetted: vetted.write_vetting(b"{}", vetted.approver),
        Check.VETTING,
        "vetting_unusable",
    ),
    "another approver": (lambda vetted: vetted.vet(EllipticKey.new("P-256")), Check.VETTING, "approver_not_trusted"),
    "edited": (edited_vetting, Check.VETTING, "approver_not_trusted"),
    "approver revoked": (approver(revoked=True), Check.VETTING, "approver_not_trusted"),
    "approver expired": (approver(not_after="2026-01-01"), Check.VETTING, "approver_not_trusted"),
    "approver of models": (approver(kinds=["model"]), Check.VETTING, "approver_not_trusted"),
    "vetted by its signer": (lambda vetted: vetted.vet(vetted.signer), Check.VETTING, "approver_not_trusted"),
    "approver is requester": (approver_signs, Check.VETTING, "approver_is_requester"),
    "an approver may sign": (approver_may_sign, Check.VETTING, "approvers_sign_datasets"),
    "another dataset": (
        lambda vetted: vetted.vet(dataset="sha256:" + "0" * 64),
        Check.VETTING,
        "vetting_of_another_dataset",
    ),
    "signed anew": (lambda vetted: vetted.sign_dataset(version=4), Check.VETTING, "vetting_of_another_dataset"),
    "another requester": (lambda vetted: vetted.vet(requester="0" * 64), Check.VETTING, "vetting_of_others"),
    "not yet": (lambda vetted: vetted.vet(issued=timedelta(hours=1)), Check.VETTING, "vetting_not_yet_valid"),
    "expired": (lambda vetted: vetted.vet(expires=-timedelta(seconds=1)), Check.VETTING, "vetting_expired"),
    "a check less": (lambda vetted: vetted.vet(checks=("labels",)), Check.VETTING, "checks_missing"),
    "base model unsigned": (without("base.sig"), Check.BASE_MODEL, "base_model_unsigned"),
    "base model's signature": (written("base.sig", ""), Check.BASE_MODEL, "base_model_signature_unusable"),
    "base model changed": (written("base/model.onnx", "v"), Check.BASE_MODEL, "base_model_tampered"),
    "base model's signer": (
        lambda vetted: vetted.trust("models.yaml", vetted.approver),
        Check.BASE_MODEL,
        "base_model_signer_not_trusted",
    ),
    "base model is old": (
        said(lambda entry: entry["base_model"].update(minimum_version=2)),
        Check.BASE_MODEL,
        "base_model_rolled_back",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_refused_by_name(vetted: Vetted, case: str) -> None:
    change, check, reason = WRONG[case]
    change(vetted)
    refusal = await found(vetted)
    assert isinstance(refusal, Refusal)
    assert (refusal.check, refusal.reason) == (check, reason)


def certified(vetted: Vetted, file: str, **limits: str) -> None:
    """Whom a root certifies is trusted."""
    (vetted.folder / "root.pem").write_bytes(ROOT.pem)
    (vetted.folder / file).write_text(yaml.safe_dump({"keys": [{"id": "root", "ca": "root.pem", **limits}]}))


def vetted_by_certificate(vetted: Vetted) -> None:
    (vetted.folder / "leaf.pem").write_bytes(SIGNER.key_pem)
    key = read_private_key(vetted.folder / "leaf.pem", None)
    vetted.vet(key)
    bundle = parse_bundle((vetted.folder / "fraud.vetting").read_bytes())
    with_chain = replace(bundle, hint="", certificates=(SIGNER.der, BETWEEN.der))
    (vetted.folder / "fraud.vetting").write_bytes(with_chain.encode())


async def test_an_approver_may_have_a_certificate(vetted: Vetted) -> None:
    vetted_by_certificate(vetted)
    certified(vetted, "approvers.yaml", alternative_name=MAIL)
    evidence = await found(vetted)
    assert isinstance(evidence, Evidence)
    certified(vetted, "approvers.yaml", alternative_name="somebody@example.com")
    refusal = await found(vetted)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "approver_not_trusted"


async def test_who_may_sign_datasets_by_another_of_their_names_may_not_vet_them(vetted: Vetted) -> None:
    vetted_by_certificate(vetted)
    certified(vetted, "approvers.yaml", alternative_name=MAIL)
    keys = yaml.safe_load((vetted.folder / "datasets.yaml").read_text())["keys"]
    root = {"id": "root", "ca": "root.pem", "subject": SIGNER.certificate.subject.rfc4514_string()}
    (vetted.folder / "datasets.yaml").write_text(yaml.safe_dump({"keys": [*keys, root]}))
    refusal = await found(vetted)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "approvers_sign_datasets"


async def test_a_key_that_both_lists_have_may_vet_where_one_is_of_models_only(vetted: Vetted) -> None:
    keys = [
        {"id": "data", "key": vetted.signer.public_key.decode(), "kinds": ["dataset"]},
        {"id": "release", "key": vetted.approver.public_key.decode(), "kinds": ["model"]},
    ]
    (vetted.folder / "datasets.yaml").write_text(yaml.safe_dump({"keys": keys}))
    assert isinstance(await found(vetted), Evidence)


@pytest.mark.parametrize(
    ("version", "used", "reason"),
    [(3, 4, "dataset_older"), (3, 3, None), (4, 3, None), (None, None, "dataset_without_version")],
)
async def test_there_is_no_way_back_to_an_older_dataset(
    vetted: Vetted, version: int | None, used: int | None, reason: str | None
) -> None:
    vetted.sign_dataset(version=version)
    vetted.vet()
    answer = await found(vetted, used=used)
    assert (answer.reason if isinstance(answer, Refusal) else None) == reason


@pytest.mark.parametrize("who", ["signer", "approver"])
async def test_the_services_own_key_vouches_for_nothing(vetted: Vetted, who: str) -> None:
    refusal = await found(vetted, service_key=getattr(vetted, who).fingerprint)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == ("dataset_signer_not_trusted" if who == "signer" else "approver_not_trusted")


async def test_the_first_check_that_refuses_decides(vetted: Vetted) -> None:
    (vetted.folder / "fraud.vetting").unlink()
    (vetted.dataset / "rows.csv").write_text("")
    refusal = await found(vetted, used=9)
    assert isinstance(refusal, Refusal)
    assert refusal.check is Check.DATASET_BYTES


async def test_advisory_permits_and_says_what_it_would_have_refused(vetted: Vetted) -> None:
    (vetted.folder / "fraud.vetting").unlink()
    evidence = await found(vetted, used=9, enforced=False)
    assert isinstance(evidence, Evidence)
    assert [advisory.reason for advisory in evidence.advisories] == ["not_vetted", "dataset_older"]
    assert (evidence.dataset_digest, evidence.approver) == (vetted.digest, None)


async def test_advisory_is_about_datasets_only(vetted: Vetted) -> None:
    (vetted.base_model / "model.onnx").write_text("v")
    refusal = await found(vetted, enforced=False)
    assert isinstance(refusal, Refusal)
    assert refusal.check is Check.BASE_MODEL


async def test_the_template_must_be_what_it_was_and_its_images_by_digest(vetted: Vetted) -> None:
    vet = vetting(vetted)
    vetted.template.write_text(vetted.template.read_text() + "  suspend: false\n")
    refusal = await vet.vet(retrain_request(), None)
    assert isinstance(refusal, Refusal)
    assert (refusal.check, refusal.reason) == (Check.TEMPLATE, "template_changed")
    vetted.template.write_text(vetted.template.read_text().replace(IMAGE, "registry.example/retrain:latest"))
    vetted.say()
    refusal = await found(vetted)
    assert isinstance(refusal, Refusal)
    assert (refusal.check, refusal.reason) == (Check.TEMPLATE, "image_not_by_digest")
    assert "spec.template.spec.containers[0].image" in refusal.detail
    assert "latest" not in refusal.detail


async def test_a_model_that_the_file_does_not_have_is_refused(vetted: Vetted) -> None:
    vetted.say(model="another")
    refusal = await found(vetted)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "no_source"
    vet = vetting(vetted)
    assert isinstance(await vet.vet(replace(retrain_request(), model=ModelName("another")), None), Evidence)


async def test_every_byte_is_read_again_each_time(vetted: Vetted) -> None:
    """Also where size and times are as they were."""
    vet, file = vetting(vetted), vetted.dataset / "rows.csv"
    assert isinstance(await vet.vet(retrain_request(), None), Evidence)
    times = file.stat()
    file.write_text("a,b\n1,9\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    refusal = await vet.vet(retrain_request(), None)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "dataset_tampered"


async def test_keys_are_read_again_each_time(vetted: Vetted) -> None:
    vet = vetting(vetted)
    assert isinstance(await vet.vet(retrain_request(), None), Evidence)
    vetted.trust("approvers.yaml", vetted.approver, revoked=True)
    refusal = await vet.vet(retrain_request(), None)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "approver_not_trusted"
    assert "revoked" in refusal.detail


@pytest.mark.parametrize("name", ["fraud", "base", "datasets.yaml", "approvers.yaml", "models.yaml", "job.yaml"])
async def test_what_cannot_be_looked_at_now_is_not_refused(vetted: Vetted, name: str) -> None:
    vet = vetting(vetted)
    (vetted.folder / name).rename(vetted.folder / "away")
    with pytest.raises(VettingUnavailable, match=name):
        await vet.vet(retrain_request(), None)


async def test_half_a_rotation_is_waited_for(vetted: Vetted) -> None:
    vet = vetting(vetted)
    (vetted.folder / "approvers.yaml").write_text("keys:")
    with pytest.raises(VettingUnavailable, match=r"approvers\.yaml"):
        await vet.vet(retrain_request(), None)
    vetted.trust("approvers.yaml", vetted.approver)
    assert isinstance(await vet.vet(retrain_request(), None), Evidence)


async def test_a_whole_volume_that_is_away_is_not_refused(vetted: Vetted) -> None:
    volume = vetted.folder / "volume"
    volume.mkdir()
    for name in ("fraud", "fraud.sig", "fraud.vetting"):
        (vetted.folder / name).rename(volume / name)
    entry = vetted.entry()
    entry["dataset"]["path"] = "volume/fraud"
    vetted.say(entry)
    vet = vetting(vetted)
    assert isinstance(await vet.vet(retrain_request(), None), Evidence)
    volume.rename(vetted.folder / "away")
    with pytest.raises(VettingUnavailable):
        await vet.vet(retrain_request(), None)


@pytest.mark.parametrize("name", ["fraud.sig", "fraud.vetting"])
async def test_a_pipe_in_the_place_of_a_file_holds_nothing_up(vetted: Vetted, name: str) -> None:
    (vetted.folder / name).unlink()
    os.mkfifo(vetted.folder / name)
    with pytest.raises(VettingUnavailable, match="is not a file"), anyio.fail_after(30):
        await found(vetted)


def test_the_page_names_every_refusal() -> None:
    page = Path(__file__).resolve().parents[3].joinpath("docs", "vetting.md").read_text(encoding="utf-8")
    table = [line.split("|")[2] for line in page.splitlines() if line.startswith(("| `", "| | `"))]
    of_versions = {"dataset_without_version", "dataset_older"}
    of_templates = {"no_source", "template_changed", "image_not_by_digest"}
    in_the_cluster = {"object_not_found", "object_changed", "reference_not_pinned"}  # test_pinned_objects.py
    like_a_dataset = {"base_model_content_refused"}
    shown = {reason for _, _, reason in WRONG.values()} | of_versions | of_templates | in_the_cluster | like_a_dataset
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == shown


async def test_without_a_file_only_the_template_is_looked_at() -> None:
    settings = TriggerSettings()
    sources = read_sources(settings, "retraining", None, lambda: datetime.now(UTC))
    evidence = await VetRun(sources.source_of, None, enforced=is_enforced(settings)).vet(retrain_request(), None)
    assert isinstance(evidence, Evidence)
    assert [advisory.reason for advisory in evidence.advisories] == ["no_dataset"]
    assert evidence.images


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"kind": "kubernetes"}, "DRIFT_TRIGGER__RETRAININGS is not set"),
        ({"vetting": "enforce"}, "DRIFT_TRIGGER__RETRAININGS is not set"),
        ({"retrainings": "retrainings.yaml", "template": "job.yaml"}, "leave DRIFT_TRIGGER__TEMPLATE out"),
        ({"retrainings": "pinned.yaml"}, "pins and cron_job need a cluster"),
        ({"retrainings": "edited.yaml"}, "and another one is pinned"),
    ],
)
def test_what_cannot_work_is_said_at_start(vetted: Vetted, groups: dict[str, Any], message: str) -> None:
    digest = "sha256:" + "0" * 64
    for name, change in (
        ("pinned", {"pins": [{"api_version": "v1", "kind": "ConfigMap", "name": "x", "digest": digest}]}),
        ("edited", {"template": {"file": "job.yaml", "digest": digest}}),
    ):
        written(f"{name}.yaml", yaml.safe_dump({"retrainings": {"*": vetted.entry() | change}}))(vetted)
    placed = {name: vetted.folder / value if "yaml" in value else value for name, value in groups.items()}
    with pytest.raises(InvalidConfiguration, match=message):
        read_sources(TriggerSettings(**placed), "retraining", None, lambda: datetime.now(UTC))


async def test_a_refusal_is_short_however_long_the_names_of_files_are(vetted: Vetted) -> None:
    for number in range(30):
        (vetted.dataset / f"{number:03}{'x' * 240}").write_text("")
    refusal = await found(vetted)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "dataset_tampered"
    assert len(refusal.detail) <= 1_000


@pytest.mark.parametrize("name", ["fraud", "fraud.sig", "fraud.vetting", "base", "datasets.yaml", "approvers.yaml"])
async def test_a_link_that_leads_to_itself_lets_nothing_pass(vetted: Vetted, name: str) -> None:
    vet = vetting(vetted)
    (vetted.folder / name).rename(vetted.folder / "away")
    (vetted.folder / name).symlink_to(vetted.folder / name)
    if name in {"fraud", "base"}:
        refusal = await vet.vet(retrain_request(), None)
        assert isinstance(refusal, Refusal)
        assert refusal.reason.endswith("_tampered")
    else:
        with pytest.raises(VettingUnavailable):
            await vet.vet(retrain_request(), None)
