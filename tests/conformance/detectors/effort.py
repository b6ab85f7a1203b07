"""How many examples a property is tried on: fewer where the suite runs again on another array library."""

from os import environ

from hypothesis import settings

_SHARE = 1 if environ.get("DRIFTWARDEN_ARRAY_LIBRARY", "numpy") == "numpy" else 4


def examples(count):
    return settings(max_examples=max(5, count // _SHARE))
