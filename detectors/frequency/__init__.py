"""Detectors that look at how often: categories, intervals, what is missing and what was never there before."""
