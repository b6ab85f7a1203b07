"""The optional engine where it is not installed: what can be said without it. With it: tests/conformance/alibi."""

import subprocess
import sys

import numpy as np
import pytest

from detectors.alibi.each_feature import SortedColumns
from detectors.alibi.engine import LICENCE_NOTICE
from detectors.alibi.reference import AlibiReference
from detectors.errors import EngineUnavailable, InvalidDocument, InvalidParameter, InvalidRows, ReferenceMismatch
from detectors.registry import DETECTORS, OPTIONAL_DETECTORS, create

ROWS = np.arange(40.0).reshape(20, 2)
ASK = """
import sys
import detectors.alibi.engine, detectors.registry
detectors.registry.create("alibi_mmd_drift", {"n_permutations": 10})
print(sorted({name.split(".")[0] for name in sys.modules} & {"alibi_detect", "torch", "sklearn", "transformers"}))
"""


@pytest.fixture
def _not_installed(monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "alibi_detect"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "alibi_detect", None)


def test_nothing_of_it_is_imported_until_something_is_fitted():
    assert subprocess.run([sys.executable, "-c", ASK], check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.usefixtures("_not_installed")
@pytest.mark.parametrize("detector", OPTIONAL_DETECTORS)
def test_where_it_is_missing_the_extra_its_environment_and_its_licence_are_named(detector):
    with pytest.raises(EngineUnavailable) as refused:
        detector().fit(ROWS)
    for said in ("driftwarden[alibi]", "environment of its own", "numpy 1", "make alibi", LICENCE_NOTICE):
        assert said in str(refused.value)


def test_the_licence_is_said_plainly():
    for said in ("Business Source License 1.1", "not an open-source licence", "production", "needs a licence"):
        assert said in LICENCE_NOTICE


def test_names_say_whose_they_are_and_are_nobody_elses():
    names = [detector.name for detector in OPTIONAL_DETECTORS]
    assert all(name.startswith("alibi_") for name in names)
    assert len({*names, *(detector.name for detector in DETECTORS)}) == len(names) + len(DETECTORS)


def test_whole_numbers_are_remembered_as_they_are_measured_with():
    assert create("alibi_mmd_drift", {"sigma": 2}) == create("alibi_mmd_drift", {"sigma": 2.0})
    assert create("alibi_classifier_drift", {"learning_rate": 1}).learning_rate == 1.0


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("alibi_ks_drift", "p_val", 0.0),
        ("alibi_ks_drift", "p_val", 1.0),
        ("alibi_ks_drift", "p_val", "0.05"),
        ("alibi_ks_drift", "p_val", float("nan")),
        ("alibi_ks_drift", "alternative", "both"),
        ("alibi_ks_drift", "preprocess_fn", "os.system"),
        ("alibi_ks_drift", "update_x_ref", {"last": 10}),
        ("alibi_tabular_drift", "categories", "0,0"),
        ("alibi_tabular_drift", "categories", "0, 1"),
        ("alibi_tabular_drift", "categories", "-1"),
        ("alibi_tabular_drift", "categories", "1,"),
        ("alibi_tabular_drift", "categories", "²"),
        ("alibi_tabular_drift", "categories", "1" * 5000),
        ("alibi_tabular_drift", "categories", [0]),
        ("alibi_tabular_drift", "categories", None),
        ("alibi_mmd_drift", "backend", "tensorflow"),
        ("alibi_mmd_drift", "n_permutations", 0),
        ("alibi_mmd_drift", "n_permutations", 10**7),
        ("alibi_mmd_drift", "sigma", 0),
        ("alibi_mmd_drift", "sigma", [1.0]),
        ("alibi_mmd_drift", "seed", 2**32),
        ("alibi_mmd_drift", "seed", True),
        ("alibi_mmd_drift", "kernel", "rbf"),
        ("alibi_lsdd_drift", "n_kernel_centers", 0),
        ("alibi_lsdd_drift", "lambda_rd_max", 1.5),
        ("alibi_lsdd_drift", "sigma", -1.0),
        ("alibi_classifier_drift", "model", "sklearn.linear_model.LogisticRegression"),
        ("alibi_classifier_drift", "train_size", 1.0),
        ("alibi_classifier_drift", "n_folds", 1),
        ("alibi_classifier_drift", "binarize_preds", 1),
        ("alibi_classifier_drift", "epochs", 0),
        ("alibi_classifier_drift", "learning_rate", 0),
        ("alibi_classifier_drift", "batch_size", 2.0),
        ("alibi_classifier_drift", "seed", None),
        ("alibi_context_mmd_drift", "context_features", 0),
        ("alibi_context_mmd_drift", "context_position", "middle"),
        ("alibi_context_mmd_drift", "prop_c_held", 0.0),
        ("alibi_context_mmd_drift", "n_folds", 1),
        ("alibi_context_mmd_drift", "batch_size", 0),
    ],
)
def test_wrong_parameters_are_refused_by_name(name, parameter, value):
    with pytest.raises(InvalidParameter, match=f"{parameter}|{name} has no such parameter; it has") as refused:
        create(name, {parameter: value})
    assert refused.value.parameter == parameter


def test_columns_of_categories_that_rows_do_not_have_are_refused(monkeypatch):
    monkeypatch.setattr("detectors.alibi.engine.alibi_detect", lambda: None)
    with pytest.raises(InvalidRows, match="2 features, and categories name column 7"):
        create("alibi_tabular_drift", {"categories": "0,7"}).fit(ROWS)


@pytest.fixture
def reference():
    return AlibiReference("sha256:one", 20, ROWS, "cpu")


def columns(reference, rows):
    return create("alibi_ks_drift", {}).summarise(reference, rows)


def test_sorted_columns_merge_feature_by_feature(reference):
    x, y = np.array([[3.0, np.nan], [1.0, 5.0]]), np.array([[2.0, 4.0]])
    merged = columns(reference, x) + columns(reference, y)
    assert merged == columns(reference, np.concatenate([y, x]))
    assert merged.count == 3
    np.testing.assert_array_equal(merged.values, [[1, 2, 3], [4, 5, np.nan]])
    assert not merged.values.flags.writeable
    with pytest.raises(ReferenceMismatch):
        merged + SortedColumns("sha256:other", merged.values)


def test_sorted_columns_are_restored_only_as_they_were(reference):
    detector = create("alibi_ks_drift", {})
    summary = columns(reference, np.array([[3.0, np.nan], [1.0, 5.0], [np.inf, -0.0]]))
    assert detector.restore(reference, summary.arrays()) == summary
    good = np.array(summary.values)
    other_missing = np.array([[1.0], [0.0]])
    other_missing.view(np.uint64)[0, 0] = 0xFFF8000000000000
    for wrong in (
        good[:1],
        good[:, ::-1],
        np.zeros((2, 3), dtype=np.float32),
        good.ravel(),
        np.array([[1.0, np.inf], [1.0, 2.0]]),
        np.array([[np.nan, 1.0], [1.0, 2.0]]),
        other_missing,
    ):
        with pytest.raises(InvalidDocument):
            detector.restore(reference, {"values": wrong})
    with pytest.raises(InvalidDocument, match="hold values"):
        detector.restore(reference, {"rows": good})
