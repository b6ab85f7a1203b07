"""The shipped account behind all that is shipped around it, and the Job that it starts."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.adapters.trigger.manifest import render
from service.adapters.trigger.template import SHIPPED_TEMPLATE, read_template
from tests.cluster.api import ApiError, Cluster
from tests.cluster.fixtures import Account, shipped_account
from tests.cluster.shipped import GUARDS
from tests.processes.waiting import eventually
from tests.unit.service.adapters.trigger.requests import order, retrain_request

Job = dict[str, Any]


@contextmanager
def guarded_account(cluster: Cluster, directory: Path, *further: Path) -> Iterator[Account]:
    """Once the policy of Jobs holds and the quota counts."""
    with shipped_account(cluster, directory, *GUARDS, *further) as account:
        nameless = changed(shipped_job(account), {"metadata": {"labels": None}})
        eventually(lambda: "name and labels" in refusal(account, nameless), "the policy holds")
        eventually(lambda: refusal(account, shipped_job(account)) == "", "the shipped Job is accepted")
        yield account


def shipped_job(account: Account) -> Job:
    """What the trigger would create of the shipped template."""
    return render(read_template(SHIPPED_TEMPLATE, account.retraining_namespace), order(retrain_request()))


def collection(namespace: str, kind: str = "jobs") -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/{kind}"


def refusal(account: Account, run: Job, path: str | None = None) -> str:
    """Why the API would not let the account create it, at a path or among the Jobs; empty: it would."""
    path = f"{path or collection(run['metadata']['namespace'])}?dryRun=All&fieldValidation=Strict"
    try:
        account.cluster.request("POST", path, run, token=account.token)
    except ApiError as error:
        return str(error)
    return ""


def changed(document: Job, change: dict[str, Any]) -> Job:
    """A JSON merge patch (RFC 7396), which goes into the first entry of a list."""
    result = copy.deepcopy(document)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = changed(result[key], value)
        elif isinstance(value, dict) and isinstance(result.get(key), list):
            result[key] = [changed(result[key][0], value), *result[key][1:]]
        else:
            result[key] = copy.deepcopy(value)
    return result
