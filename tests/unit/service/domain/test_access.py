"""What a grant allows, and what a key is."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.access import KEY_BYTES, KEY_PREFIX, Access, Grant, Verb, key_digest, new_key
from service.domain.models import model_name

FRAUD = model_name("fraud")
NAMES = st.from_regex(r"\A[a-z]([a-z0-9-]{0,8}[a-z0-9])?\Z")


@given(st.sets(st.sampled_from(Verb)), st.sampled_from(Verb), NAMES)
def test_a_verb_that_is_not_granted_is_not_allowed_on_any_model(granted: set[Verb], asked: Verb, name: str) -> None:
    everything = Grant(frozenset(granted), frozenset(), ("",))
    assert everything.allows(Access(asked, model_name(name))) is (asked in granted)
    assert everything.allows(Access(asked)) is (asked in granted)


@given(NAMES, NAMES)
def test_a_name_is_that_model_and_no_other(granted: str, asked: str) -> None:
    grant = Grant(frozenset({Verb.READ}), frozenset({granted}))
    assert grant.allows(Access(Verb.READ, model_name(asked))) is (granted == asked)


@given(NAMES, NAMES)
def test_a_beginning_is_every_model_that_begins_so(granted: str, asked: str) -> None:
    grant = Grant(frozenset({Verb.READ}), frozenset(), (granted,))
    assert grant.allows(Access(Verb.READ, model_name(asked))) is asked.startswith(granted)


def test_what_concerns_all_models_takes_a_grant_for_all_of_them() -> None:
    verbs = frozenset(Verb)
    assert not Grant(verbs, frozenset({"fraud"}), ("f",)).allows(Access(Verb.MANAGE))
    assert Grant(verbs, frozenset(), ("",)).allows(Access(Verb.MANAGE))


def test_metrics_concern_no_model() -> None:
    assert Grant(frozenset({Verb.METRICS}), frozenset({"fraud"})).allows(Access(Verb.METRICS))
    assert not Grant(frozenset(set(Verb) - {Verb.METRICS}), frozenset(), ("",)).allows(Access(Verb.METRICS))


def test_a_grant_of_nothing_allows_nothing() -> None:
    assert not any(Grant(frozenset(Verb)).allows(Access(verb, FRAUD)) for verb in set(Verb) - {Verb.METRICS})


def test_a_key_carries_all_of_its_randomness_and_is_told_apart() -> None:
    random = secrets.token_bytes(KEY_BYTES)
    key = new_key(random)
    assert key.startswith(KEY_PREFIX)
    assert key.isascii()
    assert (
        len({new_key(random[:place] + bytes([random[place] ^ 1]) + random[place + 1 :]) for place in range(32)}) == 32
    )


@pytest.mark.parametrize("other", ["", "dwk_", "dwk_A"])
def test_its_digest_is_of_the_whole_key(other: str) -> None:
    assert key_digest(new_key(bytes(KEY_BYTES))) != key_digest(other)
    assert len(key_digest(other)) == 32
