"""What verifications came to makes a state: tampering is never forgotten, and time alone can end trust."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import ArtifactTampered, IntegrityLost
from service.domain.integrity.watched import NAMED_FILES, Bounds, Changes, History, State, Target

BOUNDS = Bounds(max_age_seconds=900, grace_seconds=60, grace_tries=3)
TARGET = Target("fraud", None, True, False, 300.0, 1.5, 100e6, BOUNDS)
VERIFIED = History().verified(100.0, "sha256:1")
TAMPERED = VERIFIED.found_tampered("changed", Changes(("weights",), (), (), (1, 0, 0)))


def test_nothing_is_known_before_the_first_verification() -> None:
    assert History().state(0.0, BOUNDS) is State.UNKNOWN
    assert VERIFIED.state(100.0, BOUNDS) is State.VERIFIED


def test_a_success_is_stale_after_its_time_and_the_next_one_is_not() -> None:
    assert VERIFIED.state(1000.0, BOUNDS) is State.VERIFIED
    assert VERIFIED.state(1000.1, BOUNDS) is State.STALE
    assert VERIFIED.verified(1000.1, "sha256:1").state(1000.1, BOUNDS) is State.VERIFIED


def test_tampering_stays_whatever_is_found_later() -> None:
    """Case 41: a byte that is flipped back was flipped all the same."""
    later = TAMPERED.verified(200.0, "sha256:1").found_refused("?").found_unreadable(300.0, "?").verified(400.0, "?")
    assert later.state(400.0, BOUNDS) is State.TAMPERED
    assert (later.reason, later.changes.changed) == ("changed", ("weights",))


def test_what_cannot_be_read_is_unverifiable_after_its_tries_or_its_time() -> None:
    """R11: unreadable for less than the grace takes nothing away."""
    once = VERIFIED.found_unreadable(110.0, "EIO")
    assert once.state(169.9, BOUNDS) is State.VERIFIED
    assert once.state(170.0, BOUNDS) is State.UNVERIFIABLE
    assert once.verified(120.0, "sha256:1").state(500.0, BOUNDS) is State.VERIFIED
    thrice = once.found_unreadable(111.0, "EIO").found_unreadable(112.0, "EIO")
    assert thrice.state(112.0, BOUNDS) is State.UNVERIFIABLE
    assert thrice.verified(113.0, "sha256:1").state(113.0, BOUNDS) is State.VERIFIED
    assert History().found_unreadable(0.0, "EIO").state(1.0, BOUNDS) is State.UNKNOWN


def test_a_change_must_be_verified_within_the_grace_however_large_the_files_are() -> None:
    """Case 43: a sparse file of a terabyte takes long to read, and is not relied on meanwhile."""
    seen = VERIFIED.seen_changed(110.0)
    assert seen.state(169.0, BOUNDS) is State.VERIFIED
    assert seen.seen_changed(160.0).state(170.0, BOUNDS) is State.UNVERIFIABLE


def test_a_signature_that_says_nothing_is_unverifiable_at_once_until_one_does() -> None:
    refused = VERIFIED.found_refused("another key")
    assert refused.state(101.0, BOUNDS) is State.UNVERIFIABLE
    assert refused.found_unreadable(102.0, "EIO").reason == "another key"
    assert refused.verified(102.0, "sha256:1").state(102.0, BOUNDS) is State.VERIFIED


def test_a_refusal_ends_the_grace_of_a_change() -> None:
    """Or everything would be read over and over, as soon as can be, for as long as the signature is refused."""
    refused = VERIFIED.seen_changed(101.0).found_refused("another key")
    assert (refused.unreadable_since, refused.is_in_grace(102.0, BOUNDS)) == (None, False)


def test_only_while_a_grace_runs_it_helps_to_be_soon() -> None:
    assert not VERIFIED.is_in_grace(110.0, BOUNDS)
    once = VERIFIED.found_unreadable(110.0, "ESTALE")
    assert once.is_in_grace(169.9, BOUNDS)
    assert not once.is_in_grace(170.0, BOUNDS)
    assert not once.verified(120.0, "sha256:1").is_in_grace(120.0, BOUNDS)


@pytest.mark.parametrize("size", [10**6, 140 * 10**9])
@pytest.mark.parametrize("pause", [0.0, 330.0, 899.0])
def test_a_large_model_is_read_before_its_last_success_is_too_old(size: int, pause: float) -> None:
    """R11. At 100 MB/s, 140 GB take longer than the success of before counts."""
    pace = VERIFIED.pace(100.0 + pause, TARGET, size)
    assert pace is not None
    assert pace >= TARGET.bytes_per_second
    assert VERIFIED.state(100.0 + pause + size / pace, BOUNDS) is State.VERIFIED


def test_what_is_stale_is_read_as_fast_as_can_be_and_what_is_no_more_to_be_had_is_not() -> None:
    assert VERIFIED.pace(1001.0, TARGET, 10) is None
    assert TAMPERED.pace(1e6, TARGET, 10**12) == TARGET.bytes_per_second
    assert History().pace(1e6, TARGET, 10**12) == TARGET.bytes_per_second


def test_of_many_changes_some_are_named_and_all_are_counted() -> None:
    names = tuple(f"{number}\n\x1b[31m" for number in range(NAMED_FILES + 7))
    changes = Changes.of(ArtifactTampered("", names, (), ("a",)))
    assert (len(changes.changed), changes.counts) == (NAMED_FILES, (NAMED_FILES + 7, 0, 1))
    assert changes.changed[0] == "0\\n\\x1b[31m"


OUTCOMES = st.sampled_from(["verified", "tampered", "refused", "unreadable", "changed"])


@given(st.lists(st.tuples(OUTCOMES, st.floats(0, 500)), max_size=12))
def test_only_what_was_verified_last_and_never_tampered_with_is_verified(steps: list[tuple[str, float]]) -> None:
    history, now, successes = History(), 0.0, [-1e9]
    for outcome, pause in steps:
        now += pause
        match outcome:
            case "verified":
                history = history.verified(now, "sha256:1")
                successes.append(now)
            case "tampered":
                history = history.found_tampered("changed", Changes())
            case "refused":
                history = history.found_refused("refused")
            case "unreadable":
                history = history.found_unreadable(now, "unreadable")
            case _:
                history = history.seen_changed(now)
    state = history.state(now, BOUNDS)
    words = [outcome for outcome, _ in steps]
    assert (state is State.TAMPERED) == ("tampered" in words)
    if state is State.VERIFIED:
        since = words[len(words) - words[::-1].index("verified") :]
        assert "refused" not in since
        assert since.count("unreadable") < BOUNDS.grace_tries
        assert now - successes[-1] <= BOUNDS.max_age_seconds


def test_of_all_that_readiness_is_lost_for_some_is_said() -> None:
    """A store that was lost may have had thousands of models, and everybody may ask."""
    error = IntegrityLost([(f"reference of m{number}", "not trusted") for number in range(5_000)])
    assert len(error.states) == 100
    assert str(error).endswith(", and 4980 more are not verified")
