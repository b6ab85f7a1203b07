"""What the record says while a reference is made of a new model's traffic."""

from datetime import UTC, datetime

import pytest

from service.domain.errors import UnknownRun, WrongMoment
from service.domain.models import BatchPosition, ModelName, RetrainRequest
from service.domain.retraining.gate import Evidence
from service.domain.retraining.record import Entry, Line, Phase, RetrainingState, Step, Underway, read, written
from service.domain.retraining.transitions import gathered, renewed, served

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REQUEST = RetrainRequest("retrain-m-1", ModelName("m"), 1, NOON, NOON, "sha256:a", "sha256:b", (), None)


def awaited() -> Line:
    state = RetrainingState(1, underway=Underway(REQUEST, Evidence("sha256:t"), Phase.AWAITED, NOON))
    return written(Entry(1, REQUEST.model, NOON, Step.ENDED, REQUEST.name, "", state))


def test_what_is_gathered_is_known_to_whoever_goes_on_and_may_be_gathered_again() -> None:
    line = written(served(awaited(), REQUEST.name, BatchPosition("9-0"), NOON, "somebody"))
    for digest in ("sha256:1", "sha256:2"):
        line = read(written(gathered(line, REQUEST.name, digest, NOON, "200 rows")).text)
        assert (line.entry.step, line.entry.reference_digest, line.entry.reason) == (Step.GATHERED, digest, "200 rows")
        run = line.entry.state.underway
        assert run is not None
        assert (run.phase, run.served_from, run.gathered[-1]) == (Phase.RENEWING, "9-0", digest)
    assert run.gathered == ("sha256:1", "sha256:2")
    assert renewed(line, REQUEST.name, "sha256:2", NOON).state.underway is None


def test_nothing_is_gathered_before_the_model_is_in_use_or_for_another_run() -> None:
    with pytest.raises(WrongMoment, match="is AWAITED"):
        gathered(awaited(), REQUEST.name, "sha256:1", NOON, "")
    with pytest.raises(UnknownRun):
        gathered(awaited(), "retrain-m-2", "sha256:1", NOON, "")
