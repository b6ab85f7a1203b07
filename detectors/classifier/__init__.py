"""Detectors that ask whether a classifier can tell window rows from reference rows."""
