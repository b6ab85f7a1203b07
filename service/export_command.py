"""`driftwarden export`: the rows of judged windows out of a running service into a file, all of them or none."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import httpx
from click import ClickException
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from service.domain.models import model_name

MEDIA_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".arrows": "application/vnd.apache.arrow.stream",
    ".csv": "text/csv",
}
_ANSWER_SECONDS = 120.0
_MAXIMUM_PROBLEM_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    url: str
    """Of the service."""
    model: str
    first: int
    last: int
    token_file: Path | None = None
    """Holds the key or token that the service knows its callers by, and nothing else."""
    flagged: bool = False
    """Also what is kept apart, with labels."""


def export_to(output: Path, wanted: Wanted) -> int:
    """Write the file; how many bytes it has. Raises `ClickException`, `InvalidModelName`; then there is no new file."""
    media_type = MEDIA_TYPES.get(output.suffix.lower())
    if media_type is None:
        raise ClickException(f"--output must end with {', '.join(MEDIA_TYPES)}: that says which format it is to have")
    try:
        with _client(wanted) as client, _whole_file(output) as file:
            return _download(client, _path(wanted), media_type, file)
    except httpx.RemoteProtocolError as error:
        message = "the service ended the answer before the file was whole (its log says why); nothing was written"
        raise ClickException(message) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ClickException(f"the service at {wanted.url} cannot be asked: {error}") from error
    except OSError as error:
        raise ClickException(f"{output} cannot be written: {error.strerror}") from error


def _client(wanted: Wanted) -> httpx.Client:
    headers = {} if wanted.token_file is None else {"Authorization": f"Bearer {_token(wanted.token_file)}"}
    return httpx.Client(base_url=wanted.url, timeout=_ANSWER_SECONDS, headers=headers)


def _token(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClickException(f"no key can be read from {file} ({type(error).__name__})") from error


def _path(wanted: Wanted) -> str:
    model = f"/v1/models/{model_name(wanted.model)}"
    if wanted.first == wanted.last:
        return f"{model}/verdicts/{wanted.first}/rows" + ("?flagged=true" if wanted.flagged else "")
    return f"{model}/rows?from_verdict={wanted.first}&to_verdict={wanted.last}" + (
        "&flagged=true" if wanted.flagged else ""
    )


@contextmanager
def _whole_file(output: Path) -> Iterator[IO[bytes]]:
    """Under a name of its own until it is whole."""
    with NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        try:
            yield file.file
            file.flush()
            os.chmod(file.name, 0o666 & ~_umask())  # noqa: PTH101 - as any other file that a command writes
            Path(file.name).replace(output)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _download(client: httpx.Client, path: str, media_type: str, file: IO[bytes]) -> int:
    columns = (TextColumn("{task.description:<36}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with client.stream("GET", path, headers={"Accept": media_type}) as answer:
        if answer.status_code != httpx.codes.OK or not answer.headers.get("content-type", "").startswith(media_type):
            raise ClickException(_said(answer))
        length = answer.headers.get("content-length")
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("rows out of the service's log", total=None if length is None else int(length))
            for piece in answer.iter_bytes():
                file.write(piece)
                progress.advance(task, len(piece))
            progress.update(task, total=file.tell())
        return file.tell()


def _said(answer: httpx.Response) -> str:
    """A problem document in a line."""
    text = b"".join(_bounded(answer))
    try:
        problem = json.loads(text)
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"the service answered with {answer.status_code}: is this Driftwarden's URL?"


def _bounded(answer: httpx.Response) -> Iterator[bytes]:
    left = _MAXIMUM_PROBLEM_BYTES
    for piece in answer.iter_bytes():
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return
