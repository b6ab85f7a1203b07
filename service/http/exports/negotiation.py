"""Which format a caller gets, by `Accept` (RFC 9110, section 12.5.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from service.domain.errors import Fault, NotAcceptable
from service.http.exports import arrow_file, csv_file
from service.http.exports.table import Heading, TableWriter

EXTRA = "driftwarden[arrow]"
_MAXIMUM_RANGES = 20


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write rows."""

    media_type: str
    suffix: str
    """Of a file's name."""
    open: Callable[[Heading], TableWriter]
    needs_pyarrow: bool


FORMATS = (
    Format(csv_file.MEDIA_TYPE, "csv", csv_file.CsvWriter, needs_pyarrow=False),
    Format(arrow_file.PARQUET_MEDIA_TYPE, "parquet", arrow_file.ParquetWriter, needs_pyarrow=True),
    Format(arrow_file.STREAM_MEDIA_TYPE, "arrows", arrow_file.ArrowStreamWriter, needs_pyarrow=True),
)
"""Of what is equally welcome, the first is given."""


def has_pyarrow() -> bool:
    """Whether the extra is installed; looks at the disk."""
    return find_spec("pyarrow") is not None


def chosen(accept: str | None, *, pyarrow: bool) -> Format:
    """Raises `NotAcceptable`, and says which extra is missing where that is the reason."""
    ranges = _ranges(accept or "*/*")
    welcome = [(each, quality) for each in FORMATS if (quality := _quality(each.media_type, ranges)) > 0]
    possible = [(each, quality) for each, quality in welcome if pyarrow or not each.needs_pyarrow]
    if possible:
        return max(possible, key=lambda each: each[1])[0]
    if welcome:
        message = f"needs pyarrow, which this service does not have: install {EXTRA}; {csv_file.MEDIA_TYPE} needs none"
        raise NotAcceptable(Fault("Accept", message))
    raise NotAcceptable(Fault("Accept", f"must allow one of {', '.join(each.media_type for each in FORMATS)}"))


def _ranges(accept: str) -> dict[str, float]:
    """Qualities by media range; what cannot be read is as good as absent."""
    found = {}
    for part in accept.split(",")[:_MAXIMUM_RANGES]:
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            found[name] = min(1.0, max(0.0, float(quality)))
        except ValueError:
            continue
    return found


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """By the range that says most: the type itself, its group, anything."""
    group = media_type.partition("/")[0]
    return next((ranges[name] for name in (media_type, f"{group}/*", "*/*") if name in ranges), 0.0)
