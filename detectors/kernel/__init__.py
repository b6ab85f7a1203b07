"""Detectors that look at all features together, through the similarity of pairs of rows."""
