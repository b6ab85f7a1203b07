"""The words themselves: model names and places in the log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidModelName
from service.domain.models import LOG_START, BatchPosition, is_after, model_name


@pytest.mark.parametrize("name", ["a", "A", "0", "churn", "fraud-v2.1_eu", "x" * 63])
def test_names_that_are_safe_as_label_and_key_are_taken(name: str) -> None:
    assert model_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        ".a",
        "_a",
        "a b",
        "a/b",
        "a{b}",
        "a\n",
        "a\x00",
        "ä",
        "\u0661",
        "x" * 64,
        "../etc",
        "a:b",
        "*",
        "\u0430",
    ],
)
def test_other_names_are_refused_without_repeating_them(name: str) -> None:
    with pytest.raises(InvalidModelName) as raised:
        model_name(name)
    assert raised.value.faults[0].place == "model"
    assert len(name) < 2 or name not in str(raised.value)


@given(st.tuples(st.integers(0, 2**48), st.integers(0, 2**20)), st.tuples(st.integers(0, 2**48), st.integers(0, 2**20)))
def test_places_are_ordered_as_numbers_not_as_text(one: tuple[int, int], other: tuple[int, int]) -> None:
    first, second = (BatchPosition(f"{milliseconds}-{sequence}") for milliseconds, sequence in (one, other))
    assert is_after(first, second) == (one > other)


def test_everything_comes_after_the_start() -> None:
    assert is_after(BatchPosition("0-1"), LOG_START)
    assert not is_after(LOG_START, LOG_START)
