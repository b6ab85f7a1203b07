"""A request and its response make the rows that the model's features are, or are told not to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Fault, InvalidBatch
from service.domain.models import ModelName
from service.domain.pairing import Half, Pairs, Side, alone, joined, named, wants
from service.domain.schema import Column, Role, Schema

MODEL = ModelName("churn")
ASKED = np.array([[1.0, 2.0], [3.0, 4.0]])
ANSWERED = np.array([[9.0], [8.0]])


def request(names: list[str] | None = None, rows: np.ndarray = ASKED, **more: object) -> Half:
    return Half(Side.REQUEST, rows, names, **more)  # type: ignore[arg-type]


def response(names: list[str] | None = None, rows: np.ndarray = ANSWERED, **more: object) -> Half:
    return Half(Side.RESPONSE, rows, names or ["score"], **more)  # type: ignore[arg-type]


def test_a_request_that_has_every_feature_needs_no_response() -> None:
    whole = alone(["a", "b"], request())
    assert whole is not None
    assert whole.rows is ASKED
    found = alone(["b"], request(["a", "b"]))  # what is no feature is left aside
    assert found is not None
    assert found.rows.tolist() == [[2.0], [4.0]]
    assert alone(["a", "b", "prediction"], request()) is None
    assert alone(["a", "c"], request(["a", "b"])) is None
    assert not wants(["a", "b"], response())


ROLES = Schema(
    (
        Column("id", role=Role.IGNORE),
        Column("a"),
        Column("b"),
        Column("p", role=Role.PREDICTION),
        Column("q", role=Role.PREDICTION),
        Column("y", role=Role.LABEL),
    )
)


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (2, ("a", "b")),
        (3, ("id", "a", "b")),
        (4, ("a", "b", "p", "q")),
        (5, ("id", "a", "b", "p", "q")),
        (6, None),
    ],
)
def test_columns_of_a_request_without_names_are_told_by_their_number(width: int, names: tuple[str, ...] | None) -> None:
    assert named(ROLES, request(rows=np.ones((1, width)))).names == names
    assert named(ROLES, request(["b", "a"])).names == ["b", "a"]


def test_an_identifier_is_not_taken_for_a_feature_where_a_prediction_makes_up_for_it() -> None:
    one = Schema(tuple(column for column in ROLES.columns if column.name != "q"))
    with pytest.raises(InvalidBatch):
        named(one, request(rows=np.ones((1, 3))))
    assert named(one, request(rows=np.ones((1, 2)))).names == ("a", "b")


@pytest.mark.parametrize("names", [None, ["a", "b"]])
@pytest.mark.parametrize("output", ["prediction", "score"])
def test_an_output_among_the_features_comes_from_the_response(names: list[str] | None, output: str) -> None:
    features = ["a", output, "b"]
    assert wants(features, response())
    assert joined(features, request(names), response()).rows.tolist() == [[1, 9, 2], [3, 8, 4]]


def test_one_of_several_outputs_is_named_by_its_place() -> None:
    answer = response(["low", "high"], np.array([[0.1, 0.9], [0.2, 0.8]]))
    for name in ("prediction[1]", "high"):
        assert joined(["a", "b", name], request(), answer).rows.tolist() == [[1, 2, 0.9], [3, 4, 0.8]]
    assert not wants(["a", "prediction"], answer)


def test_what_is_asked_is_not_taken_from_the_answer() -> None:
    answer = response(["a"])
    assert joined(["a", "prediction"], request(["a", "b"]), answer).rows.tolist() == [[1, 9], [3, 8]]


@pytest.mark.parametrize(
    ("features", "asked", "answered", "place"),
    [
        (["a", "b", "prediction"], request(), response(rows=np.ones((3, 1))), "response"),
        (["a", "b", "c", "prediction"], request(), response(), "request"),
        (["a", "c", "prediction"], request(["a", "b"]), response(), "request"),
        (["a", "b", "prediction"], request(["a", "b"], left_out={1: Fault("inputs[1]", "x")}), response(), "inputs[1]"),
        (["a", "b", "prediction"], request(), response(left_out={0: Fault("outputs[0]", "x")}), "outputs[0]"),
    ],
)
def test_halves_that_do_not_make_the_features_are_told(
    features: list[str], asked: Half, answered: Half, place: str
) -> None:
    with pytest.raises(InvalidBatch) as raised:
        joined(features, asked, answered)
    assert [fault.place for fault in raised.value.faults] == [place]


def test_text_that_is_no_feature_does_not_matter() -> None:
    asked = request(["a", "id"], left_out={1: Fault("inputs[1]", "holds text")})
    found = alone(["a"], asked)
    assert found is not None
    assert found.rows.tolist() == [[1.0], [3.0]]
    with pytest.raises(InvalidBatch):
        alone(["id"], asked)


def test_text_that_was_kept_goes_with_its_column() -> None:
    asked = request(["id", "a"], texts={0: ["x", "y"]})
    answer = response(["class"], np.full((2, 1), np.nan), texts={0: ["yes", None]})
    found = joined(["a", "class", "id"], asked, answer)
    assert found.texts == {1: ["yes", None], 2: ["x", "y"]}
    assert asked.size > request(["id", "a"]).size


def test_declared_predictions_are_the_outputs_in_order_if_they_are_as_many() -> None:
    answer = response(["low", "high"], np.array([[0.1, 0.9], [0.2, 0.8]]))
    features, predictions = ["a", "b", "bad", "good"], ["bad", "good"]
    assert wants(features, answer, predictions)
    assert joined(features, request(), answer, predictions).rows.tolist() == [[1, 2, 0.1, 0.9], [3, 4, 0.2, 0.8]]
    assert not wants(features, answer, ["bad"])
    assert joined(["a", "b", "high"], request(), answer, ["high"]).rows.tolist() == [[1, 2, 0.9], [3, 4, 0.8]]


def test_a_half_waits_for_the_other_under_its_own_name() -> None:
    pairs = Pairs(60, 10**6)
    half = request()
    assert pairs.keep(MODEL, "1", half, now=0.0) == 0
    assert pairs.take(MODEL, "2", Side.REQUEST) is None
    assert pairs.take(MODEL, "1", Side.RESPONSE) is None
    assert pairs.take(ModelName("other"), "1", Side.REQUEST) is None
    assert pairs.take(MODEL, "1", Side.REQUEST) is half
    assert pairs.take(MODEL, "1", Side.REQUEST) is None


def test_who_has_waited_long_enough_is_let_go() -> None:
    pairs = Pairs(60, 10**6)
    for number in range(10):
        pairs.keep(MODEL, str(number), request(), now=float(number))
    assert pairs.give_up(now=60.0) == 0
    assert pairs.give_up(now=64.5) == 5
    assert pairs.take(MODEL, "4", Side.REQUEST) is None
    assert pairs.take(MODEL, "5", Side.REQUEST) is not None


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(Side), st.integers(1, 3_000), st.booleans())))
def test_what_waits_is_bounded(steps: list[tuple[int, Side, int, bool]]) -> None:
    room = 50_000
    pairs = Pairs(10, room)
    for now, (identifier, side, count, taken) in enumerate(steps):
        half = Half(side, np.ones((count, 1)), None)
        pairs.give_up(now)
        if taken:
            pairs.take(MODEL, str(identifier), side)
        else:
            pairs.keep(MODEL, str(identifier), half, now)
        waiting = [held for _, held in pairs._waiting.values()]
        assert pairs._used == sum(held.size for held in waiting) <= room


def test_one_that_is_too_large_to_wait_is_let_go_alone() -> None:
    pairs = Pairs(60, 10_000)
    pairs.keep(MODEL, "1", request(), now=0)
    assert pairs.keep(MODEL, "2", request(rows=np.ones((5_000, 1))), now=0) == 1
    assert pairs.take(MODEL, "1", Side.REQUEST) is not None
