"""Golden numbers of alibi-detect, made in its own environment; read where it is not (test_golden_vectors.py).

`.venv-alibi/bin/python -m tests.conformance.detectors.golden.make_golden` writes the file; `make alibi` makes the
environment. alibi-detect keeps numbers of single features as float32; they are written with all their digits.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "alibi-0.13.json"
VERSIONS = ("alibi-detect", "numpy", "scipy", "scikit-learn", "torch")
SEED = 0


def waves(shift=0.15):
    """Four features without ties, each drifted more than the one before."""
    i, j, f = np.arange(200)[:, np.newaxis], np.arange(150)[:, np.newaxis], np.arange(4)
    return np.sin(0.7 * i * (f + 1) + f), np.sin(0.9 * j * (f + 1) + 2 * f) + shift * f


def unshifted_waves():
    return waves(shift=0)


def untied():
    """No value twice (fractions of different primes), and more drift from feature to feature."""
    i, j, f = np.arange(1, 201)[:, np.newaxis], np.arange(1, 151)[:, np.newaxis], np.arange(4)
    reference = (i * np.array([389, 401, 409, 419]) % 1009) / 1009
    window = (j * np.array([433, 439, 443, 449]) % 997) / 997
    return reference, window - f * window * (1 - window) / 5


def tied():
    """Waves of few values: ties within each sample and between them."""
    reference, window = waves()
    return np.round(4 * reference) / 4, np.round(4 * window) / 4


def few():
    """The fewest rows that say something, of different counts, some equal."""
    i, j, f = np.arange(7)[:, np.newaxis], np.arange(5)[:, np.newaxis], np.arange(4)
    return ((3 * i + f) % 5) / 2.0, ((2 * j + 3 * f) % 6) / 2.0


def categories():
    """Five, two and four categories; the last has some that only one sample has."""
    i, j = np.arange(200), np.arange(150)
    reference = np.stack([(7 * i) % 5, (i * i) % 3 % 2, (i // 3) % 4], axis=1)
    window = np.stack([(j * j) % 5, (j * j + j) % 5 % 2, (j // 2) % 4 + 1], axis=1)
    return reference.astype(np.float64), window.astype(np.float64)


def events():
    """Ones and zeros: rare, frequent and about half of the rows; the window has more, fewer, and as many."""
    i, j = np.arange(120), np.arange(80)
    reference = np.stack([i % 12 == 0, i % 5 != 0, i % 2 == 0], axis=1)
    window = np.stack([j % 5 == 0, j % 2 == 0, j % 2 == 0], axis=1)
    return reference.astype(np.float64), window.astype(np.float64)


def mixed():
    """Numbers in columns 0 and 2, categories in 1 and 3."""
    waved, counted = waves(), categories()
    return tuple(
        np.stack([numbers[:, 1], words[:, 0], numbers[:, 3], words[:, 1]], axis=1)
        for numbers, words in zip(waved, counted, strict=True)
    )


ROWS = {rows.__name__: rows for rows in (waves, unshifted_waves, untied, tied, few, categories, events, mixed)}
NUMBERS = ("waves", "unshifted_waves", "untied", "tied", "few")


def cases():
    """What is asked for: their detector, its parameters as JSON, and the rows."""
    for rows in NUMBERS:
        for alternative in ("two-sided", "less", "greater"):
            yield "KSDrift", {"alternative": alternative}, rows
    yield "CVMDrift", {}, "untied"  # theirs writes the statistic in midranks: where values are tied, it is another one
    for rows in ("categories", "events"):
        yield "ChiSquareDrift", {}, rows
    for alternative in ("two-sided", "less", "greater"):
        yield "FETDrift", {"alternative": alternative}, "events"
    yield "TabularDrift", {"categories": [1, 3]}, "mixed"
    for rows in NUMBERS:
        for sigma in (0.5, 1.5, None):
            yield "MMDDrift", {"sigma": sigma}, rows
        yield "LSDDDrift", {}, rows


def answered(cd, name, parameters, rows):
    """Distance and p-value; that of a permutation test only where it does not depend on the permutations."""
    reference, window = ROWS[rows]()
    given = dict(parameters)
    if name == "TabularDrift":
        given = {"categories_per_feature": dict.fromkeys(given["categories"])}
    if name in {"MMDDrift", "LSDDDrift"}:
        given = {"backend": "pytorch", "n_permutations": 1, "device": "cpu"}
        if parameters.get("sigma") is not None:
            given |= {"sigma": np.array([parameters["sigma"]]), "configure_kernel_from_x_ref": False}
    data = getattr(cd, name)(reference, **given).predict(window)["data"]
    found = {"distance": np.atleast_1d(data["distance"]).astype(float).tolist()}
    if "n_permutations" not in given:
        found["p_val"] = np.atleast_1d(data["p_val"]).astype(float).tolist()
    return found


def golden():
    """The whole file, as JSON values."""
    import torch  # noqa: PLC0415 - neither is where the file is read

    from detectors.alibi.engine import LICENCE_NOTICE, alibi_detect  # noqa: PLC0415

    cd = alibi_detect()
    found = []
    for name, parameters, rows in cases():
        np.random.seed(SEED)  # noqa: NPY002 - theirs draws its kernel's centres from the process's generators
        torch.manual_seed(SEED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = answered(cd, name, parameters, rows)
        found.append({"detector": name, "parameters": parameters, "rows": rows, **answer})
    versions = {package: version(package) for package in VERSIONS}
    return {"made_by": versions, "licence": LICENCE_NOTICE, "seed": SEED, "cases": found}


def main():
    whole = golden()
    listed = ",\n  ".join(json.dumps(case) for case in whole.pop("cases"))
    head = json.dumps(whole, indent=1)[:-2]
    GOLDEN.write_text(f'{head},\n "cases": [\n  {listed}\n ]\n}}\n')
    print("written", GOLDEN)


if __name__ == "__main__":
    main()
