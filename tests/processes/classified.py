"""Rows of a classifier whose predictions are probabilities, with what was true."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("income", "noise", "score", "paid")
DECLARED = json.dumps([{"name": "score", "role": "prediction"}, {"name": "paid", "role": "label"}])
WINDOW = 200
PLAN: dict[str, Any] = {
    "window": {"rows": WINDOW},
    "detectors": [{"name": "kolmogorov_smirnov", "minimum_effect": 0.1}],
    "response": {"confirm": 1, "out_of": 1, "cool_down": 0},
    "performance": {},
}
Values = NDArray[np.float64]


def classified(seed: int, count: int, *, spread: float = 1.5, noise: float = 0.0) -> Values:
    """Shape (rows, columns). A smaller `spread` brings rows to the boundary; `noise` moves what does not matter."""
    generator = np.random.default_rng(seed)
    income = generator.normal(0.0, spread, count)
    score = 1 / (1 + np.exp(-income))
    paid = (generator.random(count) < score).astype(float)
    return np.column_stack([income, generator.normal(noise, 1.0, count), score, paid]).round(6)


def csv_of(rows: Values, columns: tuple[str, ...] = COLUMNS) -> bytes:
    lines = [",".join(columns), *(",".join(f"{value:g}" for value in row) for row in rows[:, : len(columns)])]
    return "\n".join(lines).replace("nan", "").encode()


def observed(rows: Values) -> dict[str, Any]:
    """A body for /observations: what is known when the inference is made."""
    return {"rows": rows[:, :3].tolist(), "features": COLUMNS[:3]}
