"""A batch is matched with the schema: its columns in order, its texts as codes; or it is refused with the place."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidBatch
from service.domain.matching import MAXIMUM_FAULTS, Matched, match
from service.domain.schema import Column, Kind, Mismatches, MismatchPlan, Role, Schema
from service.domain.sent_columns import SentColumns, code_of

FEATURES = ("a", "b", "c")
NUMBERS = Schema.of_numbers(FEATURES)
ROWS = np.arange(12.0).reshape(4, 3)
NAN = float("nan")
MIXED = Schema(
    (
        Column("amount"),
        Column("customer", role=Role.IGNORE),
        Column("city", Kind.CATEGORICAL, binding=True, categories=("Bern", "Genf")),
        Column("member", Kind.BOOLEAN, binding=True),
        Column("visits", Kind.INTEGER, binding=True),
        Column("score", role=Role.PREDICTION),
        Column("left", Kind.BOOLEAN, role=Role.LABEL),
    )
)
NAMES = ["amount", "city", "member", "visits", "score"]
GOOD = [[1.5, NAN, 1.0, 3.0, 0.25], [2.5, NAN, 0.0, 4.0, 0.5]]
CITIES = ["Genf", "Bern"]
COUNT = MismatchPlan("count", "count", "count")
REFUSE = MismatchPlan("refuse", "refuse", "refuse")


def matched(sent: SentColumns, schema: Schema = NUMBERS, plan: MismatchPlan = REFUSE, **more: bool) -> Matched:
    return match(sent, schema, plan, refuses_missing=more.get("refuses_missing", True))


def places(sent: SentColumns, schema: Schema = NUMBERS, plan: MismatchPlan = REFUSE) -> list[str]:
    with pytest.raises(InvalidBatch) as raised:
        matched(sent, schema, plan)
    return [fault.place for fault in raised.value.faults]


def mixed(rows: list[list[float]] = GOOD, names: list[str] | None = NAMES, **texts: Any) -> SentColumns:
    """Rows with texts in the columns of these names."""
    held = {NAMES.index(name): values for name, values in {"city": CITIES, **texts}.items()}
    return SentColumns(np.array(rows), names, held)


@given(st.permutations(range(3)))
def test_named_columns_may_come_in_any_order(order: list[int]) -> None:
    names = [FEATURES[index] for index in order]
    assert np.array_equal(matched(SentColumns(ROWS[:, order], names)).rows, ROWS)


@pytest.mark.parametrize("names", [None, FEATURES])
def test_numbers_in_order_are_not_copied(names: tuple[str, ...] | None) -> None:
    found = matched(SentColumns(ROWS, names))
    assert found.rows is ROWS
    assert found.mismatches == Mismatches()


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("plan", [REFUSE, COUNT])
def test_another_number_of_values_is_refused_whatever_is_counted(width: int, plan: MismatchPlan) -> None:
    assert places(SentColumns(np.ones((2, width)), None), plan=plan) == ["rows"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b", "secret"], ["features", "features[2]"]),
        (["a", "b", "b"], ["features", "features[1]"]),
        (["a", "b"], ["rows"]),
        (["a", "b", "c", "d"], ["rows"]),
        ([], ["rows"]),
    ],
)
def test_names_that_do_not_fit_are_told_by_their_place(names: list[str], expected: list[str]) -> None:
    sent = SentColumns(ROWS, names)
    assert places(sent) == expected
    with pytest.raises(InvalidBatch) as raised:
        matched(sent)
    assert "secret" not in str(raised.value)


def test_unknown_columns_are_dropped_and_absent_ones_are_missing_where_they_are_counted() -> None:
    found = matched(SentColumns(ROWS, ["c", "x", "a"]), plan=MismatchPlan(columns="count"))
    assert np.array_equal(found.rows, np.column_stack([ROWS[:, 2], [NAN] * 4, ROWS[:, 0]]), equal_nan=True)
    assert found.mismatches == Mismatches(unknown_column=4, missing_column=4)


def test_a_name_that_comes_twice_is_refused_whatever_is_counted() -> None:
    assert places(SentColumns(ROWS, ["a", "b", "b"]), plan=COUNT) == ["features[1]"]


def test_missing_values_are_told_by_the_place_at_which_they_were_sent() -> None:
    holes = np.array([[1.0, NAN, 2.0]])
    assert places(SentColumns(holes, ["c", "b", "a"])) == ["rows[0][1]"]
    assert np.isnan(matched(SentColumns(holes, None), refuses_missing=False).rows).sum() == 1


def test_text_becomes_codes_and_labels_may_be_absent() -> None:
    found = matched(mixed(), MIXED)
    assert found.mismatches == Mismatches()
    codes = [code_of(city) for city in CITIES]
    expected = [[1.5, codes[0], 1, 3, 0.25, NAN], [2.5, codes[1], 0, 4, 0.5, NAN]]
    assert np.array_equal(found.rows, expected, equal_nan=True)


def test_ignored_columns_are_dropped_as_they_come_and_no_mismatch() -> None:
    wide = np.column_stack([np.full(2, NAN), np.array(GOOD), [1.0, NAN]])
    sent = SentColumns(wide, ["customer", *NAMES, "left"], {2: CITIES, 0: ["4711", "4712"]})
    found = matched(sent, MIXED)
    assert found.mismatches == Mismatches()
    assert np.array_equal(found.rows[:, :5], matched(mixed(), MIXED).rows[:, :5])
    assert np.array_equal(found.rows[:, 5], [1.0, NAN], equal_nan=True)


@pytest.mark.parametrize("given_columns", ["all", "without labels"])
def test_without_names_columns_are_the_schemas_in_order(given_columns: str) -> None:
    values = {column.name: np.ones(2) for column in MIXED.columns}
    names = {
        "all": [column.name for column in MIXED.columns],
        "without labels": NAMES,
    }[given_columns]
    rows = np.column_stack([np.full(2, NAN) if name == "city" else values[name] for name in names])
    found = matched(SentColumns(rows, None, {names.index("city"): CITIES}), MIXED)
    assert found.rows[:, 1].tolist() == [code_of(city) for city in CITIES]
    assert np.isnan(found.rows[:, 5]).all() == (given_columns == "without labels")


IDENTIFIED = (Column("id", role=Role.IGNORE), Column("a"), Column("y", role=Role.LABEL))


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        (IDENTIFIED, [4711.0, 1.0, 0.0], [1.0, 0.0]),
        (IDENTIFIED, [1.0], [1.0, NAN]),
        (IDENTIFIED[:2], [4711.0, 1.0], [1.0]),
        (IDENTIFIED[1:], [1.0, 0.0], [1.0, 0.0]),
        ((*IDENTIFIED, Column("z", role=Role.LABEL)), [4711.0, 1.0], [1.0, NAN, NAN]),
        ((*IDENTIFIED, Column("z", role=Role.LABEL)), [1.0, 0.0, 0.5], [1.0, 0.0, 0.5]),
    ],
)
def test_without_names_columns_are_told_by_their_number(
    columns: tuple[Column, ...], row: list[float], expected: list[float]
) -> None:
    found = matched(SentColumns(np.array([row]), None), Schema(columns))
    assert np.array_equal(found.rows, [expected], equal_nan=True)


def test_an_identifier_and_a_feature_are_not_taken_for_a_feature_and_a_label() -> None:
    assert places(SentColumns(np.array([[4711.0, 1.0]]), None), Schema(IDENTIFIED), COUNT) == ["rows"]


WRONG_KINDS = [
    ("amount", {"amount": ["1e5", None]}, [[NAN, *GOOD[0][1:]], GOOD[1]], "rows[0][0]", NAN),
    ("member", {"member": ["maybe", None]}, [[1.5, NAN, NAN, 3.0, 0.25], GOOD[1]], "rows[0][2]", NAN),
    ("member", {}, [[1.5, NAN, 2.0, 3.0, 0.25], GOOD[1]], "rows[0][2]", 2.0),
    ("visits", {}, [[1.5, NAN, 1.0, 3.5, 0.25], GOOD[1]], "rows[0][3]", 3.5),
]


@pytest.mark.parametrize(("name", "texts", "rows", "place", "kept"), WRONG_KINDS, ids=range(4))
def test_a_value_of_another_kind_is_refused_or_counted(
    name: str, texts: dict[str, Any], rows: list[list[float]], place: str, kept: float
) -> None:
    sent = mixed(rows, **texts)
    assert places(sent, MIXED) == [place]
    found = matched(sent, MIXED, COUNT)
    assert found.mismatches == Mismatches(wrong_kind=1)
    # Text among numbers is missing, which detectors count; another number is a number, which they see.
    assert np.array_equal(found.rows[0, NAMES.index(name)], kept, equal_nan=True)


@pytest.mark.parametrize("words", [["true", "false"], ["True", "FALSE"], ["1", "0"]])
def test_truth_may_be_said_in_words(words: list[str]) -> None:
    numbers = [float(word) if word.isdigit() else NAN for word in words]
    rows = [[*row[:2], number, *row[3:]] for row, number in zip(GOOD, numbers, strict=True)]
    assert matched(mixed(rows, member=words), MIXED).rows[:, 2].tolist() == [1, 0]


def test_an_unseen_category_has_a_code_of_its_own_and_is_counted_or_refused() -> None:
    sent = mixed(city=["Genf", "Neverland"])
    assert places(sent, MIXED) == ["rows[1][1]"]
    found = matched(sent, MIXED, MismatchPlan(categories="count"))
    assert found.mismatches == Mismatches(unseen_category=1)
    assert found.rows[1, 1] not in {code_of(city) for city in CITIES}


@pytest.mark.parametrize("what", ["columns", "kinds", "categories"])
def test_each_is_refused_by_itself(what: Literal["columns", "kinds", "categories"]) -> None:
    sent = mixed([[1.5, NAN, 1.0, 3.5, 0.25], GOOD[1]], ["surplus", *NAMES[1:]], city=["Genf", "Neverland"])
    expected = {"columns": ["features", "features[0]"], "kinds": ["rows[0][3]"], "categories": ["rows[1][1]"]}
    policy = MismatchPlan("count", "count", "count")
    assert matched(sent, MIXED, policy).mismatches == Mismatches(2, 2, 1, 1)
    chosen = {name: "refuse" if name == what else "count" for name in ("columns", "kinds", "categories")}
    assert places(sent, MIXED, MismatchPlan(**chosen)) == expected[what]  # type: ignore[arg-type]


def test_what_is_inferred_from_numbers_binds_nobody() -> None:
    schema = Schema((Column("a", Kind.INTEGER), Column("b", Kind.BOOLEAN)))
    rows = np.array([[0.5, 7.0]])
    found = matched(SentColumns(rows, None), schema)
    assert found.rows is rows
    assert found.mismatches == Mismatches()


def test_rows_of_a_sidecar_are_codes_already_and_their_holes_are_its_plans() -> None:
    before = matched(mixed(), MIXED)
    holed = before.rows.copy()
    holed[0, 0] = NAN
    sent = SentColumns(holed, MIXED.features, matched=MIXED.categorical)
    assert np.array_equal(matched(sent, MIXED).rows, holed, equal_nan=True)
    strange = SentColumns(holed, MIXED.features, matched=frozenset({"visits"}))
    assert places(strange, MIXED) == ["categorical"]


def test_codes_of_a_sidecar_are_no_numbers_to_a_model_that_has_become_one_of_numbers() -> None:
    codes = SentColumns(ROWS, FEATURES, matched=frozenset({"a"}))
    assert places(codes) == ["categorical"]


def test_what_a_sidecar_of_a_model_of_numbers_has_let_through_is_taken() -> None:
    holed = np.array([[1.0, NAN, 2.0]])
    sent = SentColumns(holed, FEATURES, matched=frozenset())
    assert np.array_equal(matched(sent, plan=MismatchPlan(kinds="count")).rows, holed, equal_nan=True)


# What follows takes minutes where work grows faster than a body, and the suite's own limit ends it.


def test_half_a_million_names_are_told_apart_at_once() -> None:
    names = ["x"] * 500_000
    assert len(places(SentColumns(np.ones((1, len(names))), names))) == MAXIMUM_FAULTS


@pytest.mark.parametrize("kind", [Kind.CATEGORICAL, Kind.BOOLEAN])
def test_a_long_text_that_many_rows_share_is_looked_at_once(kind: Kind) -> None:
    texts = ["x" * 2**20] * 500_000
    sent = SentColumns(np.full((len(texts), 1), NAN), None, {0: texts})
    found = matched(sent, Schema((Column("a", kind, binding=True),)), COUNT)
    assert found.mismatches.total == len(texts)


TEXTS = st.lists(st.none() | st.text(max_size=5) | st.sampled_from(CITIES), min_size=1, max_size=20)


@given(TEXTS, TEXTS)
def test_matching_rows_together_is_matching_them_one_after_another(first: list[str | None], second: Any) -> None:
    schema = Schema((MIXED.columns[2],))

    def of(texts: list[str | None]) -> Matched:
        sent = SentColumns(np.full((len(texts), 1), NAN), None, {0: texts})
        return matched(sent, schema, COUNT, refuses_missing=False)

    whole, parts = of(first + second), (of(first), of(second))
    assert np.array_equal(whole.rows, np.concatenate([part.rows for part in parts]), equal_nan=True)
    assert whole.mismatches.unseen_category == sum(part.mismatches.unseen_category for part in parts)
    missing = [text is None for text in first + second]
    assert np.isnan(whole.rows[:, 0]).tolist() == missing
