"""The part of the composition root that says what is watched."""

import random
import time
from collections.abc import Sequence
from pathlib import Path

from service.adapters.artifacts.pinned_file import PinnedFile
from service.adapters.artifacts.targets_file import read_targets
from service.domain.integrity.statement import Kind
from service.domain.integrity.watched import Bounds, History, Target
from service.settings import IntegritySettings
from service.usecases.tell_integrity import TellIntegrity
from service.usecases.watch_artifacts import WatchArtifacts, WhatToWatch

TEMPLATE = "driftwarden:template"
"""No name in a file of targets has a colon."""
_TEMPLATE = Target(
    name=TEMPLATE,
    kind=Kind.TEMPLATE,
    enforced=False,  # an operator who edits it has not asked for the service to be taken away
    ours=False,
    interval_seconds=300.0,
    poll_seconds=1.5,
    bytes_per_second=1e8,
    bounds=Bounds(),
)


def open_integrity(
    settings: IntegritySettings,
    own: Sequence[WhatToWatch],
    tell: TellIntegrity,
) -> WatchArtifacts:
    """Nothing is verified yet. Raises `InvalidConfiguration`."""
    targets = [] if settings.targets is None else read_targets(settings.targets)
    watched = [WhatToWatch(target, files) for target, files in targets]
    # Only so that the pods of one node do not all read at once: nothing else depends on it.
    return WatchArtifacts([*watched, *own], time.monotonic, random.random, tell)


def pinned_template(path: Path, digest: str, maximum_bytes: int) -> WhatToWatch:
    """It was read a moment ago, and must stay what it was then."""
    known = History().verified(time.monotonic(), f"sha256:{digest}")
    return WhatToWatch(_TEMPLATE, PinnedFile(path, digest, maximum_bytes), known)
