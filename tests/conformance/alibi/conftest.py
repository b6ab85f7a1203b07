"""These tests run where alibi-detect is (`make alibi`), and nowhere else."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("alibi_detect") else ["test_*.py"]
