"""Sign what the gate permits with the service's own key, and know it again when it is started."""

from dataclasses import replace

from service.domain.retraining.carried_signature import carried, is_carried
from service.domain.retraining.record import Entry, Underway
from service.domain.retraining.signed_permission import statement_of
from service.ports import PrivateKey, SignatureCheck


class SignPermissions:
    """One key, which all replicas share."""

    def __init__(self, key: PrivateKey, holds: SignatureCheck) -> None:
        self._key = key
        self._holds = holds

    def __call__(self, entry: Entry) -> Entry:
        """The entry of a permission, with its signature."""
        run = entry.state.underway
        assert run is not None  # noqa: S101 - it is what a permission says
        signed = replace(run, signature=carried(statement_of(run), self._key.sign))
        return replace(entry, state=replace(entry.state, underway=signed))

    def is_ours(self, run: Underway) -> bool:
        """Whether this key, and so one of the replicas, has signed it as it is."""

        def holds(signature: bytes, message: bytes) -> bool:
            return self._holds(self._key.public_key, signature, message)

        return is_carried(run.signature, statement_of(run), holds)
