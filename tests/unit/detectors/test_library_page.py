"""What the library's pages tell a newcomer to type works as it stands, prints what they say, and leaves nothing out."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from detectors.compatibility import NAMES
from detectors.registry import DETECTORS, OPTIONAL_DETECTORS
from detectors.sequential.registry import ONLINE_DETECTORS

ROOT = Path(__file__).resolve().parents[3]
PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("library.md", "online_detectors.md")}
PAGE = PAGES["library.md"]
ROWS = dict(re.findall(r"^\| `(\w+)` \| (feature|joint) \|", PAGE, re.MULTILINE))
OPTIONAL = ("alibi_detect", "matplotlib")
END_OF_BLOCK = "-- end of block --"


def runs_here(block: str) -> bool:
    return all(find_spec(library) for library in OPTIONAL if library in block)


@pytest.mark.parametrize(("page", "fewest"), [("library.md", 7), ("online_detectors.md", 1)])
def test_the_blocks_run_in_order_and_print_what_the_page_says(tmp_path: Path, page: str, fewest: int) -> None:
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGES[page], re.DOTALL)
    here = [(block, printed) for block, printed in blocks if runs_here(block)]
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
    assert len(here) >= fewest
    if page == "library.md" and find_spec("matplotlib"):
        assert (tmp_path / "moved.png").stat().st_size > 5000


@pytest.mark.parametrize("detector", [*DETECTORS, *OPTIONAL_DETECTORS, *ONLINE_DETECTORS], ids=lambda each: each.name)
def test_every_registered_detector_is_in_the_table_with_its_scope(detector: type) -> None:
    assert ROWS[detector.name] == detector.scope


def test_every_detector_that_has_another_name_there_is_in_the_table() -> None:
    assert NAMES.keys() <= ROWS.keys()
    assert all(f"`{theirs}`" in PAGE for theirs in NAMES.values())
