"""The measurements that come with scikit-learn: what the model has learnt from, and what it has not seen."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.utils import Bunch

FEATURES = ("mean_radius", "mean_texture", "mean_smoothness", "mean_symmetry")
LEARNT = 400
"""Rows; the rest is traffic."""


def measurements() -> tuple[np.ndarray, np.ndarray]:
    """Features and labels, in an order that is random and always the same."""
    known: Bunch = load_breast_cancer()
    columns = [list(known.feature_names).index(name.replace("_", " ")) for name in FEATURES]
    order = np.random.default_rng(0).permutation(len(known.data))
    return known.data[order][:, columns], known.target[order]
