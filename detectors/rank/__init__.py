"""Detectors that look at order only: exact for every monotone rescaling of a feature, one feature at a time."""
