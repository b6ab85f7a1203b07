"""What holds of every tree: what was signed verifies, and nothing else does."""

from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given, settings

from service.domain.errors import ArtifactRefused, ArtifactTampered
from service.domain.integrity.names import fault_of_names
from service.domain.integrity.statement import Kind, parse_statement
from service.usecases.sign_artifact import sign_artifact
from tests.unit.service.domain.integrity.artifacts import KEY, Files, verified

PARTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=12)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=6).filter(
    lambda tree: fault_of_names(tree) is None
)


def flipped(text: bytes, bit: int) -> bytes:
    return text[: bit // 8] + bytes([text[bit // 8] ^ 1 << bit % 8]) + text[bit // 8 + 1 :]


@given(TREES, st.sampled_from([None, *Kind]), st.none() | st.integers(0, 2**70))
def test_what_was_signed_verifies_and_says_what_was_said(
    tree: dict[str, bytes], kind: Kind | None, version: int | None
) -> None:
    statement, bundle = sign_artifact(Files(tree), KEY, kind, version)
    found = verified(Files(tree), bundle.encode())
    assert found.statement == statement == parse_statement(statement.encode())
    assert (found.statement.kind, found.statement.version) == (kind, version)
    assert found.payload_digest == bundle.payload_digest


@given(TREES, st.randoms(use_true_random=False))
def test_the_order_of_the_file_system_changes_nothing(tree: dict[str, bytes], random: Random) -> None:
    names = list(tree)
    random.shuffle(names)
    other = {name: tree[name] for name in names}
    statement, bundle = sign_artifact(Files(tree), KEY)
    assert sign_artifact(Files(other), KEY)[0].encode() == statement.encode()
    verified(Files(other), bundle.encode())


@given(TREES, st.data())
def test_every_bit_that_flips_in_a_file_is_found_and_the_file_is_named(
    tree: dict[str, bytes], data: st.DataObject
) -> None:
    assume(any(tree.values()))
    name = data.draw(st.sampled_from([name for name, text in tree.items() if text]))
    bit = data.draw(st.integers(0, 8 * len(tree[name]) - 1))
    _, bundle = sign_artifact(Files(tree), KEY)
    with pytest.raises(ArtifactTampered) as caught:
        verified(Files(tree | {name: flipped(tree[name], bit)}), bundle.encode())
    assert (caught.value.changed, caught.value.missing, caught.value.extra) == ((name,), (), ())


def test_every_bit_that_flips_in_the_bundle_is_found() -> None:
    files = Files({"model.onnx": b"weights", "sub/config.json": b"{}"})
    _, signed = sign_artifact(files, KEY, Kind.MODEL, 3)
    bundle = signed.encode()
    for bit in range(8 * len(bundle)):
        with pytest.raises(ArtifactRefused):
            verified(files, flipped(bundle, bit))
    assert files.read.count("model.onnx") == 1, "nothing is read before the signature holds"


@given(TREES, TREES)
def test_only_the_tree_that_was_signed_verifies(signed: dict[str, bytes], other: dict[str, bytes]) -> None:
    assume(signed != other)
    _, bundle = sign_artifact(Files(signed), KEY)
    with pytest.raises(ArtifactTampered) as caught:
        verified(Files(other), bundle.encode())
    assert caught.value.missing == tuple(sorted(signed.keys() - other.keys()))
    assert caught.value.extra == tuple(sorted(other.keys() - signed.keys()))
    both = signed.keys() & other.keys()
    assert caught.value.changed == tuple(sorted(name for name in both if signed[name] != other[name]))


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_any_bytes_in_the_place_of_a_bundle_are_refused_by_name(text: bytes) -> None:
    with pytest.raises(ArtifactRefused):
        verified(Files({"a": b""}), text)
