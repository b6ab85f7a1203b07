"""Sign what starts retraining with the service's own key, and know it again."""

from service.domain.models import RetrainRequest
from service.domain.retraining.signed_event import is_signed, signed
from service.ports import PrivateKey, SignatureCheck


class SignEvents:
    """One key, which all replicas share."""

    def __init__(self, key: PrivateKey, holds: SignatureCheck) -> None:
        self._key = key
        self._holds = holds

    def __call__(self, request: RetrainRequest) -> RetrainRequest:
        """With its signature."""
        return signed(request, self._key.sign)

    def is_ours(self, request: RetrainRequest) -> bool:
        """Whether this key, and so one of the replicas, has signed it as it is."""
        return is_signed(request, lambda signature, message: self._holds(self._key.public_key, signature, message))
