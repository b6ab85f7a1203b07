"""Drift detectors: pure, vectorised over features, mergeable, and silent about what follows from a measurement."""
