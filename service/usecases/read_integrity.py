"""Show how everything that is watched is, and whether readiness can rest on it."""

from collections.abc import Sequence

from service.domain.errors import IntegrityLost
from service.usecases.trusted_registrations import ShownReference, TrustedRegistrations
from service.usecases.watch_artifacts import Shown, WatchArtifacts

NOT_TRUSTED = "not trusted"


class ReadIntegrity:
    """Reads only, and nothing but this process's memory."""

    def __init__(self, artifacts: WatchArtifacts, registrations: TrustedRegistrations) -> None:
        self._artifacts = artifacts
        self._registrations = registrations

    def targets(self) -> Sequence[Shown]:
        """Files, in the order of the configuration."""
        return self._artifacts.shown()

    def references(self) -> Sequence[ShownReference]:
        """Of models that this process has used."""
        return self._registrations.shown()

    def refuse_unless_ready(self) -> None:
        """What others rest on: every enforced target is verified, every reference trusted. Raises `IntegrityLost`."""
        lost = [(f"reference of {each.model}", NOT_TRUSTED) for each in self.references() if each.fault]
        try:
            self._artifacts.refuse_unless_verified(lambda target: target.enforced)
        except IntegrityLost as error:
            lost = [*error.states, *lost]
        if lost:
            raise IntegrityLost(lost)

    def refuse_unless_own_files_hold(self) -> None:
        """What this process itself rests on. Raises `IntegrityLost`."""
        self._artifacts.refuse_unless_verified(lambda target: target.ours and target.enforced)
