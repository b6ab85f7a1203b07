"""From drift to a model that is compared with what it sees: two replicas, a real API server, and all that is shipped.

The test is the kubelet, the trainer and the operator. What happened is what docs/renewal.md shows.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.adapters.embedded_store import embedded_store
from service.adapters.trigger.template import SHIPPED_TEMPLATE
from tests.cluster.api import Cluster
from tests.cluster.fixtures import Account
from tests.cluster.shipped import component
from tests.e2e.operator import MODEL, RETRAININGS, WINDOW, Operator, Transcript, rows, shape, shown
from tests.integration.kubernetes.guarded import guarded_account
from tests.processes.services import ServiceProcess, environment
from tests.processes.vetted import Vetted
from tests.processes.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "renewal.md"
WANTED = 1000
MADE = "sha256:" + "5" * 64
PLAN = {
    "window": {"rows": WINDOW},
    "detectors": [{"name": "kolmogorov_smirnov", "minimum_effect": 0.1}],
    "response": {
        "confirm": 2,
        "out_of": 3,
        "cool_down": 25,
        "cool_down_seconds": 0,
        "approval": "manual",
        "new_reference": {"rows": WANTED},
    },
}


@pytest.fixture
def guarded(cluster: Cluster, tmp_path: Path) -> Iterator[Account]:
    with guarded_account(cluster, tmp_path / "account", *component("approval")) as made:
        yield made


@pytest.fixture
def vetted(tmp_path: Path) -> Vetted:
    """The shipped template, one attempt a run."""
    made = Vetted(tmp_path / "vetted")
    made.template.write_text(SHIPPED_TEMPLATE.read_text().replace("backoffLimit: 2", "backoffLimit: 0"))
    made.say()
    return made


@pytest.fixture
def operator(guarded: Account, vetted: Vetted, tmp_path: Path) -> Iterator[Operator]:
    key = EllipticKey.new("P-256")
    key.write(tmp_path / "service.pem", None)
    (tmp_path / "service.pub").write_bytes(key.public_key)
    settings = {
        "DRIFT_EVALUATION__POLL_SECONDS": "0.1",
        "DRIFT_EVALUATION__CLAIM_SECONDS": "1",
        "DRIFT_TRIGGER__KIND": "kubernetes",
        "DRIFT_TRIGGER__KUBECONFIG": str(guarded.kubeconfig),
        "DRIFT_TRIGGER__NAMESPACE": guarded.retraining_namespace,
        "DRIFT_TRIGGER__RETRAININGS": str(vetted.file),
        "DRIFT_TRIGGER__SIGNING_KEY_FILE": str(tmp_path / "service.pem"),
        "DRIFT_TRIGGER__FIRST_RETRY_SECONDS": "0.2",
    }
    with ExitStack() as stack:
        url = stack.enter_context(embedded_store(tmp_path / "store"))
        replicas = [ServiceProcess(tmp_path / f"replica-{n}", DRIFT_STORE__URL=url, **settings) for n in range(2)]
        for replica in replicas:
            stack.callback(replica.stop)
            replica.launch()
        for replica in replicas:
            replica.ready()
        made = Operator(guarded, replicas)
        stack.callback(made.hang_up)
        yield made


def test_drift_a_job_a_new_reference_a_second_drift_and_a_chain_that_holds_offline(
    operator: Operator, tmp_path: Path
) -> None:
    told = Transcript()
    first = a_drift_makes_a_job_that_waits(operator, told)
    it_is_released_and_succeeds(operator, told, first)
    what_the_new_model_sees_becomes_the_reference(operator, told, first)
    second = the_next_drift_makes_another_job(operator, told)
    a_run_by_hand_fails(operator, told)
    assert operator.job(second) is not None
    assert len(operator.account.jobs()) == 3
    the_record_is_verified_offline(operator, told, tmp_path)
    print(*told.lines, sep="\n")  # with `-s`: what the page is to show
    assert told.shape() == shape(shown_on_the_page())


def a_drift_makes_a_job_that_waits(operator: Operator, told: Transcript) -> str:
    reference = {"features": ["a", "b", "c"], "rows": rows(1, 2000, 0.0).tolist()}
    operator.client.put(f"{MODEL}/reference", json=reference).raise_for_status()
    operator.client.put(f"{MODEL}/plan", json=PLAN).raise_for_status()
    told.did("four windows as in the reference, then two that are two deviations higher")
    told.saw(" ".join(operator.judged(4, 0.0) + operator.judged(2, 2.0)))
    assert operator.findings() == ["STABLE"] * 4 + ["DRIFT"] * 2
    told.did("the drift is confirmed: a Job is made, and waits for somebody to release it")
    run = operator.newest_action()
    assert run is not None
    operator.until("STARTED", run)
    told.saw(shown(operator.job(run)))
    waits = {"model": "fraud", "phase": "SUSPENDED"}
    eventually(lambda: operator.metric("retraining_phase", **waits) == 1, "everybody sees that it waits")
    assert operator.metric("retraining_phase_timestamp_seconds", model="fraud") is not None, "and since when"
    return run


def it_is_released_and_succeeds(operator: Operator, told: Transcript, run: str) -> None:
    told.did("somebody releases it; the training succeeds")
    operator.post(f"{RETRAININGS}/{run}/release")
    operator.end(run, "Succeeded")
    told.saw(shown(operator.job(run)))


def what_the_new_model_sees_becomes_the_reference(operator: Operator, told: Transcript, run: str) -> None:
    told.did("a replica is killed; the other is told which model was made, and that it is used")
    dead, alive = operator.replicas
    dead.kill()
    operator.turn_to(alive)
    operator.post(f"{RETRAININGS}/{run}/model", {"payload_digest": MADE})
    operator.post(f"{RETRAININGS}/{run}/served")
    told.did("a thousand rows of what it sees become the reference; windows of such rows are calm")
    operator.send(WANTED, 2.0)
    renewed = operator.until("RENEWED", run)
    registration = operator.get(MODEL)
    assert registration["reference_digest"] == renewed["reference_digest"]
    told.saw(f"reference {renewed['reference_digest']} of {registration['reference_rows']} rows")
    told.saw(" ".join(found := operator.judged(4, 2.0)))
    assert found == ["STABLE"] * 4


def the_next_drift_makes_another_job(operator: Operator, told: Transcript) -> str:
    told.did("rows drift away again: a second Job, which succeeds; somebody keeps the reference this time")
    run = None
    while run is None:  # until the plan's cool-down is over
        assert operator.judged(1, 5.0) == ["DRIFT"]
        run = operator.newest_action()
    operator.until("STARTED", run)
    operator.post(f"{RETRAININGS}/{run}/release")
    operator.end(run, "Succeeded")
    operator.post(f"{RETRAININGS}/{run}/keep-reference", {"reason": "the new model is no better"})
    told.saw(shown(operator.job(run)))
    return run


def a_run_by_hand_fails(operator: Operator, told: Transcript) -> None:
    told.did("somebody asks for a third run, which fails: an alarm")
    run = operator.post(RETRAININGS, {"reason": "another try"}).json()["run"]
    operator.until("STARTED", run)
    operator.post(f"{RETRAININGS}/{run}/release")
    operator.end(run, "Failed")
    told.saw(shown(operator.job(run)))
    eventually(lambda: operator.metric("retraining_failures", model="fraud") == 1, "the failure is shown")
    told.saw('driftwarden_retraining_failures{model="fraud"} 1')
    assert operator.metric("retraining_phase_timestamp_seconds", model="fraud") is None, "none is under way"
    assert any("ERROR" in line and "retraining ENDED" in line for line in operator.replicas[1].said().splitlines())


def the_record_is_verified_offline(operator: Operator, told: Transcript, folder: Path) -> None:
    told.did("driftwarden verify-record fraud.jsonl --key service.pub --list")
    record = folder / "fraud.jsonl"
    record.write_bytes(operator.client.get(f"{RETRAININGS}/record").raise_for_status().content)
    status, said = verified(record)
    assert status == 0, said
    told.saw(said)
    told.did("one letter of it is changed")
    record.write_bytes(record.read_bytes().replace(b"another try", b"another cry"))
    status, said = verified(record)
    assert status == 1
    told.saw(said)


def verified(record: Path) -> tuple[int, str]:
    """By the command line, with nothing but the file and the service's public key."""
    command = [sys.executable, "-m", "service", "verify-record", record.name, "--key", "service.pub", "--list"]
    settings = {**environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=record.parent, env=settings, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def shown_on_the_page() -> list[str]:
    (block,) = re.findall(r"```text\n(# four windows.*?)\n```", PAGE.read_text(), re.DOTALL)
    return str(block).splitlines()
