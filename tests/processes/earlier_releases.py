"""Earlier releases as programs: their packages as they were, unpacked beside this one, in the same environment.

    python -m tests.processes.earlier_releases <commit> <name>     packs one, into earlier/<name>.tar.xz

Names are in the order of time. One is packed when a release is made, and before a change of what is stored. What they
need beyond the standard library is this environment's; the demonstration and its data are left out.
"""

import lzma
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent / "earlier"
ARCHIVES = sorted(HERE.glob("*.tar.xz"))


def unpacked(archive: Path, directory: Path) -> dict[str, str]:
    """Settings by which a `ServiceProcess` runs that release instead of this one."""
    place = directory / archive.name.removesuffix(".tar.xz")
    with tarfile.open(archive) as packed:
        packed.extractall(place, filter="data")
    return {"PYTHONPATH": str(place)}


def main() -> None:
    commit, name = sys.argv[1:]
    file = HERE / f"{name}.tar.xz"
    if file.exists():
        sys.exit(f"{file} is there already")
    what = ("service", "detectors", "deploy/retraining/job.yaml", ":!service/demo")
    packed = subprocess.run(["git", "archive", commit, *what], check=True, capture_output=True)
    file.write_bytes(lzma.compress(packed.stdout, preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main()
