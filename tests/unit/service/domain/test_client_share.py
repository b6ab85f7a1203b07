"""No client contributes more of a window's exported rows than it may."""

import numpy as np
import pytest

from service.domain.client_share import ClientRows, most_of_one
from service.domain.models import ModelName
from service.domain.windows.excerpt import WindowRows


def shares_hold(counts: list[int], most: int, part: float) -> bool:
    left = sum(min(count, most) for count in counts)
    return min(most, max(counts)) <= part * left + 1e-6


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_most_that_keeps_every_client_within_its_share(seed: int) -> None:
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, 200, generator.integers(1, 60)).tolist()
    share = float(generator.uniform(0.02, 0.9))
    part = max(share, 1 / len(counts))
    most = most_of_one({bytes([number]): count for number, count in enumerate(counts)}, share)
    assert shares_hold(counts, most, part)
    assert most == max(counts) or not shares_hold(counts, most + 1, part)


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([900, 50, 50], 0.5, 100),
        ([900, 100], 0.5, 100),
        ([900], 0.5, 900),
        ([10] * 49, 0.01, 10),
        ([300, 300, 400], 0.4, 400),
        ([], 0.5, 0),
    ],
)
def test_of_fewer_clients_than_the_share_is_for_all_have_as_much(
    counts: list[int], share: float, expected: int
) -> None:
    assert most_of_one({bytes([number]): count for number, count in enumerate(counts)}, share) == expected


def test_a_hostile_client_is_held_to_its_share_and_the_others_keep_their_rows() -> None:
    def batches(sender: str, count: int) -> list[WindowRows]:
        places = np.arange(100)
        rows, times = np.zeros((100, 2)), np.zeros(100, dtype=np.int64)
        return [WindowRows(f"{sender} {number}", rows, times, places) for number in range(count)]

    sent = {b"hostile": batches("hostile", 50), b"one": batches("one", 4), b"other": batches("other", 5), None: []}
    given = []
    for _ in range(2):
        clients = ClientRows(ModelName("churn"))
        for sender, windows in sent.items():
            for rows in windows:
                clients.add(sender, rows)
        clients.limit(0.4)
        given.append({sender: [clients.taken(sender, rows).places for rows in each] for sender, each in sent.items()})
    counts = {sender: sum(map(len, each)) for sender, each in given[0].items()}
    assert counts == {b"hostile": 600, b"one": 400, b"other": 500, None: 0}
    same = zip(given[0][b"hostile"], given[1][b"hostile"], strict=True)
    assert all(np.array_equal(first, second) for first, second in same)
