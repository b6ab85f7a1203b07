"""The figures that benchmarks/windows.py prints go by the names that benchmarks/README.md explains."""

import json
import re
from pathlib import Path

from benchmarks.windows import PANE_ROWS, WORKERS, Judged, figures, growth

README = (Path(__file__).resolve().parents[2] / "benchmarks" / "README.md").read_text(encoding="utf-8")


def test_windows_and_workers_are_named_as_they_are_explained() -> None:
    section = README.partition("## Windows judged by workers")[2].partition("\n## ")[0]
    explained = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in section.splitlines() if "|" in line))
    printed = [
        *figures({workers: [Judged(10.0 * workers, 0.0)] for workers in WORKERS}),
        *growth({pane_rows: [Judged(10.0, 0.0)] for pane_rows in PANE_ROWS}),
    ]
    documents = [json.loads(figure.as_json()) for figure in printed]
    assert sorted(each["name"] for each in documents) == sorted(set(explained))
    assert all(each.keys() == {"name", "value", "unit", "against"} for each in documents)
