"""How fast are rows scored, and how often are poisoned windows found? `python -m benchmarks.anomalies`.

`--quick`: fewer references. Scoring is timed on one core beside scikit-learn's IsolationForest, in turns on the
same rows. Windows of 1000 rows are judged by `outlying_rows`, `too_typical_rows` and `repeated_rows` together, each
against a reference of 10 000 rows at p < 1e-4 / 3. What an attack leaves in rows that nobody flags is told by how far
it moves a mean, in deviations. One JSON object a figure.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time

import numpy as np
from scipy.special import betaincinv
from scipy.stats import rankdata
from sklearn.ensemble import IsolationForest
from threadpoolctl import threadpool_limits

from benchmarks.poisoned_rows import ATTACKS, Attack, Rows, Source, poisoned
from detectors.anomaly.labels import OK, Labeller
from detectors.anomaly.rank_mahalanobis import RankMahalanobis
from detectors.protocols import Detector
from detectors.registry import create

REFERENCE_ROWS, WINDOW_ROWS, LEVEL = 10_000, 1_000, 1e-4
DETECTORS = ("outlying_rows", "too_typical_rows", "repeated_rows")
SHARES = (0.02, 0.05)
ROUNDS = 7


class Judge:
    """The three detectors, fitted on one reference."""

    def __init__(self, reference: Rows) -> None:
        detectors: list[Detector] = [create(name, {}) for name in DETECTORS]
        self._fitted = [(detector, detector.fit(reference)) for detector in detectors]

    def alarms(self, window: Rows) -> bool:
        """Whether any of them finds it surprising."""
        found = (each.test(fitted, each.summarise(fitted, window)).p_value[0] for each, fitted in self._fitted)
        return min(found) * len(DETECTORS) < LEVEL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 references in place of 20")
    references = 5 if parser.parse_args().quick else 20
    with threadpool_limits(1):
        _speed()
        _seen()
        _windows(references, 1_000 // references)
        _exports(references)


def _speed() -> None:
    source = Source(1)
    reference, rows = source.rows(REFERENCE_ROWS), source.rows(20_000)
    fitted, forest = RankMahalanobis().fit(reference), IsolationForest(n_jobs=1, random_state=0).fit(reference)
    labeller = Labeller.fit(reference, "rank_mahalanobis", 0.001, 0.001)
    ways = (lambda: fitted.score(rows), lambda: labeller.label(rows), lambda: forest.score_samples(rows))
    rounds = [[_seconds(way) for way in ways] for _ in range(ROUNDS + 1)][1:]  # the first warms up
    scored, labelled, theirs = (len(rows) / median(times) for times in zip(*rounds, strict=True))
    print(f"rows/s on one core: scored {scored:,.0f}, labelled {labelled:,.0f}, IsolationForest {theirs:,.0f}")
    ratio = median(times[2] / times[0] for times in rounds)
    _figure("scoring_speed", scored, "rows/s", "20 features, one core")
    _figure("labelling_speed", labelled, "rows/s", "20 features, one core: scores, hashes and labels")
    _figure("scoring_speedup", ratio, "ratio", "scikit-learn IsolationForest, 100 trees")


def _seconds(way: Callable[[], object]) -> float:
    """Of the processor, which others on the machine disturb less than the clock's."""
    begun = process_time()
    way()
    return process_time() - begun


def _seen() -> None:
    """How well single rows are told apart, in both directions."""
    source = Source(2)
    reference, rows = source.rows(REFERENCE_ROWS), source.rows(2_000)
    forest = IsolationForest(random_state=0).fit(reference)
    for name, score in (
        ("ours", RankMahalanobis().fit(reference).score),
        ("forest", lambda x: -forest.score_samples(x)),
    ):
        ordinary = score(rows)
        for attack in ("stuck", "broken correlation", "one feature 8 sd"):
            strange = score(ATTACKS[attack](source, rows))
            ranks = rankdata(np.concatenate([strange, ordinary]))[: len(strange)]
            area = (ranks.sum() - len(strange) * (len(strange) + 1) / 2) / (len(strange) * len(ordinary))
            _figure(f"auc_{name}_{attack}", area, "AUC", "ordinary rows; 0: all more typical than these")


def _windows(references: int, clean: int) -> None:
    alarms, found = 0, {(name, share): 0 for name in ATTACKS for share in SHARES}
    poisonings = 5
    for seed in range(references):
        source = Source(100 + seed)
        judge = Judge(source.rows(REFERENCE_ROWS))
        alarms += sum(judge.alarms(source.rows(WINDOW_ROWS)) for _ in range(clean))
        for name, share in found:
            windows = [poisoned(source, source.rows(WINDOW_ROWS), ATTACKS[name], share) for _ in range(poisonings)]
            found[name, share] += sum(map(judge.alarms, windows))
    _share("false_alarms", alarms, references * clean, "clean windows")
    for (name, share), count in found.items():
        _share(f"found_{name}_{share:.0%}", count, references * poisonings, "poisoned windows")


def _exports(references: int) -> None:
    """5 % of the rows that retraining would learn from are poisoned: how many are left, and what they move."""
    for name, attack in ATTACKS.items():
        left, before, after = zip(*(_left(Source(200 + seed), attack) for seed in range(references)), strict=True)
        _figure(f"left_{name}", float(np.mean(left)), "share", "poisoned rows that are exported, of 5 % of all")
        _figure(f"moved_{name}", float(np.mean(after)), "sd", f"largest of 20 means; {np.mean(before):.3f} with all")


def _left(source: Source, attack: Attack) -> tuple[float, float, float]:
    labeller = Labeller.fit(source.rows(REFERENCE_ROWS), "rank_mahalanobis", 0.001, 0.001)
    clean = source.rows(5_000)
    rows = poisoned(source, clean, attack, 0.05)
    hostile = np.arange(len(rows)) < 250
    _, first = np.unique(labeller.row_hash(rows), return_index=True)
    kept = (labeller.label(rows).labels == OK) & np.isin(np.arange(len(rows)), first)
    return float(kept[hostile].mean()), _moved(clean, rows), _moved(clean, rows[kept])


def _moved(clean: Rows, rows: Rows) -> float:
    return float((np.abs(rows.mean(axis=0) - clean.mean(axis=0)) / clean.std(axis=0)).max())


def _share(name: str, count: int, among: int, of: str) -> None:
    """With its 95 % interval (Clopper-Pearson)."""
    lower = float(betaincinv(count, among - count + 1, 0.025)) if count else 0.0
    upper = float(betaincinv(count + 1, among - count, 0.975)) if count < among else 1.0
    _figure(name, count / among, "share", f"{among} {of}", (round(lower, 4), round(upper, 4)))


def _figure(name: str, value: float, unit: str, against: str, interval: Sequence[float] | None = None) -> None:
    said = {"name": name.replace(" ", "_"), "value": round(value, 4), "unit": unit, "against": against}
    print(json.dumps(said if interval is None else said | {"interval": interval}))


if __name__ == "__main__":
    main()
