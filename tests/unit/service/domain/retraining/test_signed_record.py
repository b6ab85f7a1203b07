"""Case 58 of the design: nothing can be taken out of a record that was handed out, changed in it or moved."""

from dataclasses import replace

import pytest

from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.domain.errors import ArtifactRefused, BrokenRecord, CorruptedState, UntrustedSigner
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.models import ModelName
from service.domain.retraining.record import Line, written
from service.domain.retraining.signed_event import statement_of
from service.usecases.verify_record import refuse_unless_it_goes_on
from tests.unit.service.domain.retraining.records import KEY, handed_out, head, record, request, verified

LINES = record()
END = head(LINES)


def changed(line: Line) -> Line:
    return written(replace(line.entry, by="somebody else"))


def test_a_record_as_it_was_handed_out_is_verified() -> None:
    found = verified(handed_out(LINES, END))
    assert [line.entry.number for line in found.lines] == [1, 2, 3, 4, 5, 6, 7]
    assert (found.head.first, found.head.newest, found.head.digest) == (1, 7, LINES[-1].digest)
    assert found.key.fingerprint == KEY.fingerprint


def test_what_is_kept_of_a_long_record_is_verified_by_itself() -> None:
    assert verified(handed_out(LINES[2:], head(LINES[2:]))).head.first == 3


def test_a_record_without_entries_is_verified() -> None:
    assert verified(handed_out([], head([]))).lines == []


@pytest.mark.parametrize("gone", range(7))
def test_58_a_line_that_is_deleted_is_noticed(gone: int) -> None:
    with pytest.raises(BrokenRecord):
        verified(handed_out(LINES[:gone] + LINES[gone + 1 :], END))


@pytest.mark.parametrize("place", range(7))
def test_58_a_line_that_is_edited_is_noticed(place: int) -> None:
    with pytest.raises(BrokenRecord, match=f"entry {min(place + 2, 7)}"):
        verified(handed_out([*LINES[:place], changed(LINES[place]), *LINES[place + 1 :]], END))


@pytest.mark.parametrize("place", range(6))
def test_58_lines_that_are_reordered_are_noticed(place: int) -> None:
    swapped = [*LINES[:place], LINES[place + 1], LINES[place], *LINES[place + 2 :]]
    with pytest.raises(BrokenRecord):
        verified(handed_out(swapped, END))


@pytest.mark.parametrize("left", range(7))
def test_58_a_tail_that_is_cut_off_is_noticed_by_the_signed_head(left: int) -> None:
    with pytest.raises(BrokenRecord, match=r"newest entry|first entry"):
        verified(handed_out(LINES[:left], END))


@pytest.mark.parametrize("left", range(8))
def test_58_a_tail_that_is_cut_off_together_with_the_head_is_noticed(left: int) -> None:
    with pytest.raises(BrokenRecord, match="last line is not a signature"):
        verified(handed_out(LINES[:left], b"")[:-1])


def test_58_an_entry_that_is_deeper_than_any_of_ours_is_refused() -> None:
    deep = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(CorruptedState):
        verified(b"\n".join([deep, END]))


def test_58_lines_of_another_model_are_noticed() -> None:
    others = record(ModelName("fraud"))
    with pytest.raises(BrokenRecord):
        verified(handed_out([*LINES[:-1], others[-1]], END))
    with pytest.raises(BrokenRecord, match="another model"):
        verified(handed_out(others, head(others)))


def test_58_a_head_of_another_key_is_noticed() -> None:
    other = EllipticKey.new("P-256")
    with pytest.raises(UntrustedSigner, match="not trusted"):
        verified(handed_out(LINES, head(LINES, other)))
    forged = head(LINES, other).replace(other.fingerprint.encode(), KEY.fingerprint.encode())
    with pytest.raises(UntrustedSigner, match="not by the key"):
        verified(handed_out(LINES, forged))


def test_58_a_head_that_is_of_other_lines_is_noticed() -> None:
    with pytest.raises(BrokenRecord, match="newest entry is 7"):
        verified(handed_out(LINES, head(LINES[:5])))


def test_what_is_no_entry_is_noticed() -> None:
    with pytest.raises((BrokenRecord, CorruptedState)):
        verified(handed_out(LINES, END).replace(b"\n", b"\n\n", 1))


def test_another_statement_of_the_services_key_is_no_head() -> None:
    payload = statement_of(request())
    event = Bundle(payload, KEY.sign(signed_bytes(payload)), KEY.fingerprint).encode()
    with pytest.raises((BrokenRecord, ArtifactRefused), match="of another kind"):
        verified(handed_out(LINES, event))


def test_a_record_goes_on_from_what_was_handed_out_before() -> None:
    earlier = verified(handed_out(LINES[:3], head(LINES[:3])))
    for kept in (LINES, LINES[2:]):
        refuse_unless_it_goes_on(verified(handed_out(kept, head(kept))), earlier)


def test_a_record_that_was_written_anew_does_not_go_on() -> None:
    earlier = verified(handed_out(LINES[:3], head(LINES[:3])))
    anew = [written(replace(LINES[0].entry, by="nobody"))]
    for line in LINES[1:]:
        anew.append(written(replace(line.entry, previous=anew[-1].digest)))
    with pytest.raises(BrokenRecord, match="entry 3 is not what it was"):
        refuse_unless_it_goes_on(verified(handed_out(anew, head(anew))), earlier)


@pytest.mark.parametrize(
    ("lines", "said"), [(LINES[:2], "ends with entry 2"), (LINES[4:], "begins with entry 5"), ([], "ends with entry 0")]
)
def test_a_record_that_lost_what_was_handed_out_before_does_not_go_on(lines: list[Line], said: str) -> None:
    earlier = verified(handed_out(LINES[:3], head(LINES[:3])))
    with pytest.raises(BrokenRecord, match=said):
        refuse_unless_it_goes_on(verified(handed_out(lines, head(lines))), earlier)
