"""Formats of what is given back, one file each: rows of windows in, bytes out, piece by piece."""

from service.http.exports.negotiation import FORMATS, Format, chosen, has_pyarrow
from service.http.exports.table import Heading, TableWriter

__all__ = ["FORMATS", "Format", "Heading", "TableWriter", "chosen", "has_pyarrow"]
