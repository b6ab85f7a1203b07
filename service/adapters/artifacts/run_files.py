"""The files that runs of a model are made from: template, dataset with its vetting, base model."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.adapters.artifacts.elliptic_keys import read_bounded, signature_holds
from service.adapters.artifacts.retrainings_file import NamedDataset
from service.adapters.artifacts.signed_files import SignedFiles, as_unreadable, is_absent
from service.adapters.artifacts.trust_file import read_trust
from service.domain.errors import ArtifactUnreadable, NotSigned, UntrustedSigner
from service.domain.integrity.statement import Kind
from service.domain.retraining.gate import Check, Refusal
from service.domain.retraining.vetting_statement import MAXIMUM_VETTING_BYTES, SignedDataset
from service.usecases.verify_vetting import Approval, verify_vetting


@dataclass(frozen=True, slots=True)
class FilesOfRuns:
    """A `service.ports.RunFiles`."""

    template: Path | None
    template_bytes: int
    """The most that it may have."""
    named: NamedDataset | None
    model: SignedFiles | None
    service_key: str | None
    """Fingerprint of the key that the service signs with; it vouches for no dataset."""
    clock: Callable[[], datetime]

    def template_digest(self) -> str | None:
        if self.template is None:
            return None
        with as_unreadable():
            return f"sha256:{hashlib.sha256(read_bounded(self.template, self.template_bytes)).hexdigest()}"

    def dataset(self) -> SignedDataset | None:
        if self.named is None:
            return None
        found = self.named.files.verified()
        signer = found.key.fingerprint
        if signer == self.service_key:
            raise UntrustedSigner("it is signed by the key of this service, which trains on it")
        if signer in self._model_keys():
            raise UntrustedSigner(f"the key {found.key.name} is trusted with models, too: use one for each")
        return SignedDataset(found.payload_digest, found.statement.version, signer)

    def vet(self, dataset: SignedDataset, /) -> str | Refusal:
        vetting = None if self.named is None else self.named.vetting
        if self.named is None or vetting is None:
            raise NotSigned("the retrainings file names no vetting statement for the dataset")
        if is_absent(vetting.statement):
            raise NotSigned(f"there is no vetting statement {vetting.statement}: make one (driftwarden vet)")
        if not os.path.isfile(vetting.statement):  # noqa: PTH113 - whatever is wrong, no error
            raise ArtifactUnreadable(f"{vetting.statement} is not a file")
        with as_unreadable():
            bundle = read_bounded(vetting.statement, MAXIMUM_VETTING_BYTES)
            approvers = read_trust(vetting.approvers, self.named.files.path)
        wanted = Approval(approvers, self.named.files.trusted(), vetting.checks)
        approver = verify_vetting(bundle, dataset, wanted, self.clock(), signature_holds)
        if approver == self.service_key:
            return Refusal(Check.VETTING, "approver_not_trusted", "the key of this service vouches for no dataset")
        return approver

    def base_model(self) -> str | None:
        return None if self.model is None else self.model.verified().payload_digest

    def _model_keys(self) -> frozenset[str]:
        if self.model is None:
            return frozenset()
        return frozenset(key.fingerprint for key in self.model.trusted().keys if Kind.MODEL in key.kinds)
