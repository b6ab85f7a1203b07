"""What is inferred of a reference, what is declared, and what is refused."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import codec
from service.domain.described_reference import Described, described, described_again
from service.domain.errors import InvalidBatch, InvalidReference
from service.domain.matching import match
from service.domain.registration import decode_reference, encode_reference
from service.domain.schema import Column, DeclaredColumn, Kind, MismatchPlan, Role, Schema
from service.domain.sent_columns import SentColumns, category_of, code_of

NAN = float("nan")
THREE = ("3", "c", "d")


def column(values: list[Any], *declared: DeclaredColumn) -> Column:
    """What one column `x` of such values is."""
    return of({"x": values}, *declared).schema.columns[0]


def sent(columns: dict[str, list[Any]]) -> SentColumns:
    numbers = [[value if isinstance(value, float) else NAN for value in held] for held in columns.values()]
    texts = {
        place: [value if isinstance(value, str) else None for value in held]
        for place, held in enumerate(columns.values())
        if any(isinstance(value, str) for value in held)
    }
    return SentColumns(np.array(numbers, dtype=np.float64).T, list(columns), texts)


def of(columns: dict[str, list[Any]], *declared: DeclaredColumn) -> Described:
    return described(sent(columns), declared, strict=True)


def places(columns: dict[str, list[Any]], *declared: DeclaredColumn) -> list[str]:
    with pytest.raises(InvalidReference) as raised:
        of(columns, *declared)
    return [fault.place for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 2.0], Column("x", Kind.NUMERIC, minimum=0.5, maximum=2.0)),
        ([3.0, -2.0, 0.0], Column("x", Kind.INTEGER, minimum=-2.0, maximum=3.0)),
        ([1.0, 0.0, 1.0], Column("x", Kind.BOOLEAN)),
        ([1.0, 1.0], Column("x", Kind.INTEGER, minimum=1.0, maximum=1.0)),
        (["true", "False"], Column("x", Kind.BOOLEAN, binding=True)),
        (["b", "a", "b"], Column("x", Kind.CATEGORICAL, binding=True, categories=("a", "b"))),
    ],
)
def test_what_is_inferred(values: list[Any], expected: Column) -> None:
    assert column(values) == expected


@pytest.mark.parametrize(
    ("values", "said", "expected"),
    [
        ([3.0, 2.0], {"kind": Kind.NUMERIC}, Column("x", Kind.NUMERIC, minimum=2.0, maximum=3.0)),
        ([3.0, 2.5], {"kind": Kind.CATEGORICAL}, Column("x", Kind.CATEGORICAL, binding=True, categories=("2.5", "3"))),
        ([3.0, "c"], {"categories": ("d", "3", "c")}, Column("x", Kind.CATEGORICAL, binding=True, categories=THREE)),
        ([0.5], {"role": Role.PREDICTION}, Column("x", role=Role.PREDICTION, minimum=0.5, maximum=0.5)),
    ],
)
def test_what_is_declared(values: list[Any], said: dict[str, Any], expected: Column) -> None:
    assert column(values, DeclaredColumn("x", **said)) == expected


@pytest.mark.parametrize(
    ("values", "said", "expected"),
    [
        ([1.0, "n/a", 2.0], {}, ["rows[1][0]"]),  # a slip: among numbers, text is no category unless it is declared
        ([1.0, 2.5], {"kind": Kind.INTEGER}, ["rows[1][0]"]),
        ([1.0, 2.0], {"kind": Kind.BOOLEAN}, ["rows[1][0]"]),
        (["a", "b"], {"kind": Kind.NUMERIC}, ["rows[0][0]", "rows[1][0]"]),
        (["a", "b"], {"categories": ("a",)}, ["features[0]"]),
        (["a", "a"], {"categories": ("a", "a")}, ["features[0]"]),
        ([1.0, None], {}, ["rows[1][0]"]),
        (["a", None], {}, ["rows[1][0]"]),
        ([1.0, 2.0], {"kind": Kind.INTEGER, "categories": ("1",)}, ["columns[0].categories"]),
        ([1.0, 2.0], {"role": Role.IGNORE}, ["columns"]),
        ([1.0, 2.0], {"role": Role.LABEL}, ["columns"]),
        (["x" * 201], {}, ["features[0]"]),
        (["a\nb"], {}, ["features[0]"]),
        (["\ud800"], {}, ["features[0]"]),
        ([str(number) + "a" for number in range(1_001)], {}, ["features[0]"]),
        ([f"{number:0>190}a" for number in range(400)], {}, ["columns"]),
    ],
)
def test_what_is_refused(values: list[Any], said: dict[str, Any], expected: list[str]) -> None:
    assert places({"x": values}, *([DeclaredColumn("x", **said)] if said else [])) == expected


@pytest.mark.parametrize("values", [np.full((200_000, 1), NAN), np.full((200_000, 1), 0.5)])
def test_as_many_faults_are_made_as_are_told(values: Any) -> None:
    asked: list[int] = []

    def place(row: int, _: int) -> str:
        asked.append(row)
        return f"line {row}"

    with pytest.raises(InvalidReference):
        described(SentColumns(values, ["x"], place=place), [DeclaredColumn("x", Kind.INTEGER)])
    assert asked == list(range(20))


def test_declarations_of_columns_that_are_not_there() -> None:
    said = (DeclaredColumn("y"), DeclaredColumn("x", Kind.INTEGER), DeclaredColumn("x"))
    assert places({"x": [1.0]}, *said) == ["columns[0].name", "columns[2].name"]
    later = described(sent({"x": [1.0, 2.0]}), said[:2])  # what was declared of an earlier reference
    assert later.schema.columns[0].kind is Kind.INTEGER


def test_roles_say_which_columns_are_kept_and_which_are_looked_at() -> None:
    columns = {"id": ["p", "q"], "a": [0.5, 1.5], "p": [0.1, 0.9], "y": [1.0, None], "where": ["u", "v"]}
    said = [
        DeclaredColumn("id", role=Role.IGNORE),
        DeclaredColumn("p", role=Role.PREDICTION),
        DeclaredColumn("y", role=Role.LABEL),
    ]
    made = of(columns, *said)
    assert made.reference.features == made.schema.features == ("a", "p", "y", "where")
    assert made.reference.labels == ("y",)
    assert made.schema.columns[3].missing
    assert made.reference.rows[:, 3].tolist() == [code_of("u"), code_of("v")]


def test_numbers_are_not_copied() -> None:
    columns = SentColumns(np.arange(6.0).reshape(3, 2), None)
    made = described(columns, [])
    assert made.reference.rows is columns.rows
    assert made.reference.features == ("feature_0", "feature_1")


CATEGORIES = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=8)


@given(st.lists(CATEGORIES.filter(lambda text: text.lower() not in {"true", "false"}), min_size=1, max_size=50))
def test_codes_are_stable_and_a_reference_matches_its_own_schema(values: list[str]) -> None:
    first, again = of({"x": values}), of({"x": list(reversed(values))})
    assert first.schema == again.schema
    assert np.array_equal(first.reference.rows, again.reference.rows[::-1])
    found = match(sent({"x": values}), first.schema, MismatchPlan(categories="refuse"), refuses_missing=True)
    assert np.array_equal(found.rows, first.reference.rows)
    assert len(np.unique(first.reference.rows)) == len(set(values))


@given(st.text())
def test_a_code_is_a_whole_number_that_json_and_floats_hold(text: str) -> None:
    code = code_of(text)
    assert code == code_of(text)
    assert 0 <= code < 2**48
    assert int(code) == code


def test_the_codes_of_some_categories_for_ever() -> None:
    """They are in logs and references: another way to make them would make every category unseen."""
    found = {text: int(code_of(text)) for text in ("", "a", "größe", "\ud800", "x" * 100)}
    assert found == {
        "": 243927366461433,
        "a": 73912390445837,
        "größe": 246245868926024,
        "\ud800": 100732241617733,
        "x" * 100: 55831639688297,
    }


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_a_categorical_column_is_the_category_of_its_shortest_spelling(number: float) -> None:
    assert float(category_of(number)) == number
    assert number == 0 or not category_of(number).endswith(".0")


def test_a_reference_keeps_its_labels_and_an_older_one_its_digest() -> None:
    made = of({"a": [0.5, 1.5], "y": [1.0, None]}, DeclaredColumn("y", role=Role.LABEL)).reference
    blob = encode_reference(made)
    found = decode_reference(blob, codec.digest(blob))
    assert (found.features, found.labels) == (made.features, ("y",))
    assert found.rows.tobytes() == made.rows.tobytes()


def test_a_schema_is_read_as_it_was_written() -> None:
    made = of({"a": [0.5, 1.5], "x": ["b", "a"]}).schema
    assert not made.is_plain  # worked out before it is written: nothing of that is stored
    written = msgspec.json.encode(made)
    assert msgspec.json.decode(written, type=Schema) == made
    assert b"is_plain" not in written


TIME = DeclaredColumn("when", role=Role.TIME)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2026-03-01T12:00:00Z", "2026-03-01T13:00:00.5+01:00"], [1772366400000, 1772366400500]),
        ([1772366400.0, 1772366400.25], [1772366400000, 1772366400250]),
        ([1772366400000.0, 1772366400001.0], [1772366400000, 1772366400001]),
    ],
)
def test_a_column_of_times_says_when_rows_were_and_is_no_feature(values: list[Any], expected: list[int]) -> None:
    found = of({"when": values, "x": [1.0, 2.0], "city": ["Bern", "Genf"]}, TIME)
    assert found.reference.features == ("x", "city")
    assert found.reference.times is not None
    assert found.reference.times.tolist() == expected
    assert found.reference.categorical == ("city",)
    assert found.schema.time == "when"
    blob = encode_reference(found.reference)
    again = decode_reference(blob, codec.digest(blob))
    assert again.times is not None
    assert (again.times.tolist(), again.categorical) == (expected, ("city",))
    without = of({"x": [1.0, 2.0], "city": ["Bern", "Genf"]}).reference
    assert (without.times, without.categorical) == (None, ())
    assert codec.digest(encode_reference(without)) != codec.digest(blob)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["2026-03-01T12:00:00", "2026-03-01"], "is no time with a zone"),
        (["noon", NAN], "is no time with a zone"),
        ([-1.0, 1e300], "is no time with a zone"),
        (["9999-12-31T23:00:00-12:00", "x" * 1000], "is no time with a zone"),
        ([0.0, 7200.0, 3600.0], "is earlier than the row before"),
    ],
)
def test_times_that_are_missing_without_a_zone_or_out_of_order_are_refused(values: list[Any], said: str) -> None:
    with pytest.raises(InvalidReference) as raised:
        of({"x": [1.0, 2.0, 3.0][: len(values)], "when": values}, TIME)
    place = "rows[2][1]" if "earlier" in said else "rows[0][1]"
    assert raised.value.faults[0].place == place
    assert said in raised.value.faults[0].message
    assert len(raised.value.faults) == (1 if "earlier" in said else 2)


def test_one_column_has_the_role_time_and_no_kind() -> None:
    twice = {"a": [1.0, 2.0], "b": [1.0, 2.0], "x": [1.0, 2.0]}
    assert places(twice, DeclaredColumn("a", role=Role.TIME), DeclaredColumn("b", role=Role.TIME)) == ["columns"]
    assert places(twice, DeclaredColumn("a", Kind.NUMERIC, Role.TIME)) == ["columns[0]"]


def test_the_times_of_observations_come_from_the_same_column_where_it_is_there() -> None:
    schema = of({"when": [0.0, 1.0], "x": [1.0, 2.0]}, TIME).schema
    named = sent({"x": [5.0, 6.0], "when": ["2026-03-01T12:00:00Z", "1970-01-01T00:00:00Z"]})
    found = match(named, schema, MismatchPlan(), refuses_missing=True)
    assert found.rows.tolist() == [[5.0], [6.0]]
    assert found.times is not None
    assert found.times.tolist() == [1772366400000, 0]
    assert match(sent({"x": [5.0]}), schema, MismatchPlan(), refuses_missing=True).times is None
    nameless = SentColumns(np.array([[3600.0, 5.0]]), None)
    by_place = match(nameless, schema, MismatchPlan(), refuses_missing=True)
    assert (by_place.rows.tolist(), by_place.times) == ([[5.0]], [3600000])
    alone = match(SentColumns(np.array([[5.0]]), None), schema, MismatchPlan(), refuses_missing=True)
    assert (alone.rows.tolist(), alone.times) == ([[5.0]], None)


@pytest.mark.parametrize("refuses_missing", [True, False])
def test_an_observation_whose_time_is_missing_is_refused_whatever_the_plan_says(refuses_missing: bool) -> None:
    schema = of({"when": [0.0, 1.0], "x": [1.0, 2.0]}, TIME).schema
    with pytest.raises(InvalidBatch) as raised:
        match(sent({"x": [5.0], "when": [NAN]}), schema, MismatchPlan(), refuses_missing=refuses_missing)
    assert [fault.place for fault in raised.value.faults] == ["rows[0][1]"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from(["a", "b", "true"]), st.sampled_from(["true", "false"])
        ),
        min_size=2,
        max_size=9,
    ),
    st.booleans(),
)
def test_the_same_rows_described_again_are_the_same_reference(
    values: list[tuple[float, str, str]], is_declared: bool
) -> None:
    declared = [TIME, *([DeclaredColumn("x", Kind.NUMERIC), DeclaredColumn("word", None, Role.LABEL)] * is_declared)]
    columns = dict(zip(("x", "word", "flag"), map(list, zip(*values, strict=True)), strict=True))
    once = of({**columns, "when": [float(row) for row in range(len(values))]}, *declared)
    assert once.reference.times is not None
    again = described_again(once.schema, declared, once.reference.rows, once.reference.times)
    assert again.schema == once.schema
    assert encode_reference(again.reference) == encode_reference(once.reference)


def test_other_rows_bring_other_ranges_and_kinds_but_what_is_bound_stays() -> None:
    once = of({"n": [1.0, 0.0], "word": ["a", "b"], "flag": ["true", "false"]})
    rows = np.array([[7.0, code_of("a"), 1.0], [9.0, code_of("a"), 1.0]])
    again = described_again(once.schema, (), rows, np.array([1, 2]))
    assert again.schema.columns == (
        Column("n", Kind.INTEGER, minimum=7.0, maximum=9.0),
        Column("word", Kind.CATEGORICAL, binding=True, categories=("a", "b")),
        Column("flag", Kind.BOOLEAN, binding=True),
    )
    assert again.reference.times is None
