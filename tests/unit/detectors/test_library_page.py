"""What docs/library.md tells a newcomer to type works as it stands, prints what it says, and leaves nothing out."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from detectors.compatibility import NAMES
from detectors.registry import DETECTORS, OPTIONAL_DETECTORS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)
ROWS = dict(re.findall(r"^\| `(\w+)` \| (feature|joint) \|", PAGE, re.MULTILINE))
OPTIONAL = ("alibi_detect", "matplotlib")
END_OF_BLOCK = "-- end of block --"


def runs_here(block: str) -> bool:
    return all(find_spec(library) for library in OPTIONAL if library in block)


def test_the_blocks_run_in_order_and_print_what_the_page_says(tmp_path: Path) -> None:
    here = [(block, printed) for block, printed in BLOCKS if runs_here(block)]
    program = "".join(f"{block}\nprint({END_OF_BLOCK!r})\n" for block, _ in here)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{END_OF_BLOCK}\n")[:-1]
    assert printed == [expected for _, expected in here]
    assert len(here) >= 6
    if find_spec("matplotlib"):
        assert (tmp_path / "moved.png").stat().st_size > 5000


@pytest.mark.parametrize("detector", [*DETECTORS, *OPTIONAL_DETECTORS], ids=lambda detector: detector.name)
def test_every_registered_detector_is_in_the_table_with_its_scope(detector: type) -> None:
    assert ROWS[detector.name] == detector.scope


def test_every_detector_that_has_another_name_there_is_in_the_table() -> None:
    assert NAMES.keys() <= ROWS.keys()
    assert all(f"`{theirs}`" in PAGE for theirs in NAMES.values())
