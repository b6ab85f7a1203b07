"""The page about retraining names the refusals that there are, and no others."""

import re
from pathlib import Path

from service.domain.retraining import drift_event, pace
from service.usecases import retraining_gate

PAGE = Path(__file__).parents[5] / "docs" / "retraining.md"


def test_every_refusal_of_event_and_pace_is_on_the_page_and_no_other() -> None:
    sources = "".join(Path(str(module.__file__)).read_text() for module in (drift_event, pace, retraining_gate))
    made = set(re.findall(r'_refusal\(\s*"(\w+)"', sources)) | set(
        re.findall(r'Refusal\(Check\.EVENT, "(\w+)"', sources)
    )
    section = PAGE.read_text().split("## The gate")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| (?:`\w+`)? ?\| `(\w+)` \|", section, re.MULTILINE))
    assert len(made) == 10
    assert named == made
