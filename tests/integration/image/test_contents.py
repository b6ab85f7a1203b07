"""What is in the image, and what is not."""

import json
import re
import tarfile

import pytest

from service.app import VERSION
from service.settings import Settings
from tests.integration.image.engine import Engine, base_name

pytestmark = pytest.mark.timeout(1200)  # the first one builds

Files = dict[str, tarfile.TarInfo]
USER = 65532
DATA = "/var/lib/driftwarden"


def _configuration(engine: Engine, image: str) -> dict[str, object]:
    inspected: dict[str, object] = json.loads(engine.run("podman", "image", "inspect", image))[0]["Config"]
    return inspected


def test_nothing_in_it_compiles_or_installs(files: Files) -> None:
    compilers = r"(.*-)?(gcc|g\+\+|cc|c\+\+|clang|ld|as|make|cargo|go)(-[0-9]+)?"
    installers = r"uvx?|pip[0-9.]*|pipx|conda|git|curl|wget"
    tools = re.compile(f"{compilers}|{installers}")
    places = ("/bin/", "/sbin/", "/usr/", "/opt/")
    programs = [
        path for path, file in files.items() if path.startswith(places) and file.mode & 0o111 and not file.isdir()
    ]
    assert programs
    assert [path for path in programs if tools.fullmatch(path.rsplit("/", 1)[1])] == []


def test_no_installer_is_left_among_its_modules(files: Files) -> None:
    installers = re.compile(r".*/(site-packages/(pip|uv|setuptools|hatchling|wheel)|ensurepip)(-[^/]*)?")
    assert [path for path in files if installers.fullmatch(path)] == []


def test_neither_tests_nor_sources_are_in_it(files: Files) -> None:
    ours = r".*/site-packages/(tests|benchmarks|(service|detectors)/.*(test_[^/]*|conftest)\.py).*"
    unwanted = re.compile(rf"/source(/.*)?|{ours}")
    assert [path for path in files if unwanted.fullmatch(path)] == []


def test_the_program_cannot_be_changed_by_its_user(files: Files) -> None:
    def may_write(file: tarfile.TarInfo) -> bool:
        return not file.issym() and (USER in {file.uid, file.gid} or bool(file.mode & 0o002))

    assert [path for path, file in files.items() if path.startswith(("/opt/", "/usr/")) and may_write(file)] == []


def test_only_the_data_directory_belongs_to_the_user(files: Files) -> None:
    assert [path for path, file in files.items() if USER in {file.uid, file.gid}] == [DATA]
    assert files[DATA].mode & 0o777 == 0o700


def test_every_module_of_ours_has_its_bytecode(files: Files) -> None:
    modules = [path for path in files if re.search(r"/site-packages/(service|detectors)/.*\.py$", path)]
    assert modules
    compiled = {re.sub(r"__pycache__/(.*)\.cpython-\d+\.pyc$", r"\1.py", path) for path in files}
    with_bytecode = {path for path in compiled if path in files}
    assert [path for path in modules if path not in with_bytecode] == []


def test_it_says_how_it_is_to_be_run(engine: Engine, image: str) -> None:
    configuration = _configuration(engine, image)
    assert configuration["User"] == f"{USER}:{USER}"
    assert configuration["Entrypoint"] == ["driftwarden"]
    assert configuration["Cmd"] == ["serve"]
    assert configuration["StopSignal"] == "SIGTERM"
    assert configuration["Volumes"] == {DATA: {}}
    assert configuration["ExposedPorts"] == {f"{Settings().http.port}/tcp": {}}


def test_its_labels_name_this_version(engine: Engine, image: str) -> None:
    labels = _configuration(engine, image)["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == VERSION
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_what_it_adds_to_its_base_stays_small(engine: Engine, image: str) -> None:
    whole, base = (engine.megabytes(name) for name in (image, base_name()))
    assert whole - base < 330  # SciPy and NumPy with an OpenBLAS each are half of it
