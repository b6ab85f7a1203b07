"""The part of a CronJob in the cluster that Jobs are made from, as a template."""

from typing import Any
from urllib.parse import quote

from service.adapters.trigger.target import Target, refusal
from service.adapters.trigger.template import CronJobTemplate, Template, checked_template
from service.domain.errors import InvalidConfiguration, TriggerRejected
from service.domain.retraining.pinned import digest_of


async def read_cron_job(api: Target, made_from: CronJobTemplate) -> Template:
    """As it is now. Raises `TriggerUnavailable`, and `TriggerRejected` if it is not what it is pinned to."""
    named = made_from.pin.named
    path = f"/apis/batch/v1/namespaces/{made_from.namespace}/cronjobs/{quote(named.name, safe='')}"
    answer = await api.ask("GET", path)
    if not answer.ok:
        raise refusal(f"get {named}", answer)
    if (digest := digest_of(answer.body)) != made_from.pin.digest:
        raise TriggerRejected(f"{named} is {digest}, and {made_from.pin.digest} is pinned: look at what was changed")
    try:
        return checked_template(_job(answer.body), made_from.namespace, made_from.digest, str(named))
    except InvalidConfiguration as error:
        raise TriggerRejected(str(error)) from error


def _job(cron_job: dict[str, Any]) -> dict[str, Any]:
    """Without an owner: a CronJob deletes what it owns, but for the latest few, and their names would be free again."""
    template = cron_job["spec"]["jobTemplate"]
    said = template.get("metadata") or {}
    metadata = {part: said[part] for part in ("labels", "annotations") if said.get(part)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
