"""Models are spread so that there is room for all, and stay where they are while evaluators come and go."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from service.domain.models import ModelName
from service.domain.sharing import fair_share, preferred, surplus

MODELS = [ModelName(f"model-{index}") for index in range(1000)]
sets = st.sets(st.text(min_size=1, max_size=5).map(ModelName))


@given(st.integers(0, 5000), st.integers(0, 300))
def test_fair_shares_have_room_for_all_and_for_hardly_more(models: int, evaluators: int) -> None:
    share = fair_share(models, evaluators)
    assert share * max(1, evaluators) >= models
    assert (share - 1) * max(1, evaluators) < models


@given(sets, st.text())
def test_an_order_of_preference_leaves_nothing_out(models: set[ModelName], evaluator: str) -> None:
    assert sorted(preferred(models, evaluator)) == sorted(models)


@given(sets, st.integers(0, 10), st.text())
def test_surplus_is_what_is_liked_least_beyond_the_share(models: set[ModelName], share: int, evaluator: str) -> None:
    kept = [model for model in preferred(models, evaluator) if model not in surplus(models, share, evaluator)]
    assert kept == preferred(models, evaluator)[:share]


def test_evaluators_prefer_different_models() -> None:
    evaluators = [f"evaluator {index}" for index in range(4)]
    ranks = {name: {model: rank for rank, model in enumerate(preferred(MODELS, name))} for name in evaluators}
    first = Counter(min(evaluators, key=lambda name: ranks[name][model]) for model in MODELS)
    assert min(first.values()) > 150
