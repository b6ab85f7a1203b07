"""What this service signs of a permission, so that nobody starts a run past the gate by writing one into the store.

An in-toto Statement v1 under DSSE, of which the record carries the signature alone.
"""

import hashlib
import json

from service.domain.integrity.statement import STATEMENT_TYPE
from service.domain.retraining import signed_event
from service.domain.retraining.record import Underway

PREDICATE_TYPE = "https://driftwarden.io/predicates/retraining-permission/v1"


def statement_of(run: Underway) -> bytes:
    """All that decides what is started, and how; the same permission is the same bytes."""
    evidence = run.evidence
    event = hashlib.sha256(signed_event.statement_of(run.request)).hexdigest()
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": run.request.name, "digest": {"sha256": event}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "suspended": run.suspended,
            "dryRun": run.dry_run,
            "templateDigest": evidence.template_digest,
            "images": list(evidence.images),
            "datasetDigest": evidence.dataset_digest,
            "datasetVersion": evidence.dataset_version,
            "approver": evidence.approver,
            "baseModelDigest": evidence.base_model_digest,
            "advisories": [[each.check, each.reason, each.detail] for each in evidence.advisories],
        },
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")
