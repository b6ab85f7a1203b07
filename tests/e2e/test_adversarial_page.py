"""The score of docs/adversarial.md does what the page says of it."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adversarial.md").read_text(encoding="utf-8")

USED = """
def predict(rows):
    positive = 1 / (1 + np.exp(-40 * (rows.sum(axis=1) - 1)))
    return np.stack([1 - positive, positive], axis=1)

rows = np.array([[0.0, 1.0], [0.4, 0.2], [0.49, 0.56], [9.0, 9.0]])
print(*squeezing_score(predict, rows, 0.0, 1.0, bits=1).round(2))
"""


def test_an_answer_that_hangs_on_the_last_bits_scores_high_and_a_plain_one_does_not() -> None:
    (score,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", score + USED], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["0.0", "0.0", "0.38", "0.0"]
