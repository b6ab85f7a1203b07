"""alibi-detect's side of a comparison, run by its own interpreter: `python -m benchmarks.side_alibi`."""

import platform
from importlib.metadata import version

import numpy as np
import torch

from benchmarks.wire import Answer, Rows, Way, serve
from detectors.alibi.engine import alibi_detect

PACKAGES = ("alibi-detect", "numpy", "scipy", "torch")


def kolmogorov_smirnov(reference: Rows) -> Way:
    detector = alibi_detect().KSDrift(reference, p_val=0.05)
    return lambda window: dict(detector.predict(window)["data"])


def maximum_mean_discrepancy(reference: Rows, permutations: int) -> Way:
    detector = alibi_detect().MMDDrift(
        reference, p_val=0.05, backend="pytorch", n_permutations=permutations, device="cpu"
    )
    return lambda window: dict(detector.predict(window)["data"])


def machine() -> Answer:
    versions = {package: version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **versions, "device": "cpu", "threads": torch.get_num_threads()}


def main() -> None:
    torch.set_num_threads(1)
    np.random.seed(0)  # noqa: NPY002 - theirs draws from it
    torch.manual_seed(0)
    serve({"kolmogorov_smirnov": kolmogorov_smirnov, "maximum_mean_discrepancy": maximum_mean_discrepancy}, machine)


if __name__ == "__main__":
    main()
