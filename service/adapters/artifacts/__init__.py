"""Artifacts on a disk, and the keys that they are signed with: file systems, PEM and elliptic curves."""
