"""Every detector of alibi-detect that we know, in several settings; few permutations, because each costs time."""

ALIBI_VARIANTS = [
    ("alibi_ks_drift", {}),
    ("alibi_ks_drift", {"alternative": "less"}),
    ("alibi_ks_drift", {"alternative": "greater", "p_val": 0.01}),
    ("alibi_tabular_drift", {}),
    ("alibi_tabular_drift", {"categories": "0"}),
    ("alibi_mmd_drift", {"n_permutations": 40}),
    ("alibi_mmd_drift", {"n_permutations": 40, "sigma": 1.5, "seed": 7}),
    ("alibi_lsdd_drift", {"n_permutations": 40}),
    ("alibi_lsdd_drift", {"n_permutations": 40, "sigma": 0.7, "n_kernel_centers": 3}),
    ("alibi_classifier_drift", {}),
    ("alibi_classifier_drift", {"n_folds": 3, "binarize_preds": True}),
    ("alibi_classifier_drift", {"model": "random_forest", "n_folds": 2}),
    ("alibi_classifier_drift", {"model": "neural_network", "n_folds": 2, "epochs": 20, "learning_rate": 0.01}),
    ("alibi_context_mmd_drift", {"n_permutations": 40, "n_folds": 2}),
    ("alibi_context_mmd_drift", {"n_permutations": 40, "context_position": "leading"}),
]
