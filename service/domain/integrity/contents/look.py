"""What a file is: every recogniser is asked, for a file may be several things at once, and the worst of them counts."""

from collections.abc import Iterable
from dataclasses import replace

from service.domain.integrity.contents import graphs, numbers, programs
from service.domain.integrity.contents.compressed import OPAQUE, unpacked
from service.domain.integrity.contents.content import Content, Look, data, may, unknown, worst
from service.domain.integrity.contents.pickles import pickled
from service.domain.integrity.contents.source import (
    HEAD_BYTES,
    MAXIMUM_DEPTH,
    Bounded,
    Budget,
    Held,
    Recogniser,
    Source,
    View,
)
from service.domain.integrity.contents.tars import tarred
from service.domain.integrity.contents.zips import Entry, zipped
from service.domain.integrity.names import shown

_ENTRY_HEAD_BYTES = 2**12
_MAXIMUM_CONFIGURATION = 2**20


def look(source: Source, name: str) -> Look:
    """At a file under that name. Reads at most `MAXIMUM_READ` bytes of it; raises only what the source raises."""
    budget = Budget()
    found = _look(View(Bounded(source, budget), name, budget))
    return found.at_least(Content.MAY, "more than is looked at") if budget.exhausted else found


def _look(view: View) -> Look:
    head = view.source.read(0, HEAD_BYTES if view.depth == 0 else _ENTRY_HEAD_BYTES)
    view = View(view.source, view.name, view.budget, view.whole, view.depth, head)
    found = worst(found for recogniser in _RECOGNISERS if (found := recogniser(view)) is not None)
    found = found or programs.text(view) or programs.by_name(view)
    return found.at_least(Content.MAY, "called a script") if programs.called_script(view) else found


def _packed(view: View) -> Look | None:
    """A zip archive, whatever stands before it."""
    entries = zipped(view)
    if entries is not None:
        return _archive("zip", view, entries)
    return may("zip archive without its end") if view.head.startswith(b"PK\3\4") else None


def _gathered(view: View) -> Look | None:
    entries = tarred(view)
    if entries is None:
        return None
    found = _archive("tar", view, entries)
    return found if view.whole else found.at_least(Content.MAY, "of which only the beginning was looked at")


def _archive(form: str, view: View, entries: Iterable[Entry]) -> Look:
    if view.depth >= MAXIMUM_DEPTH:
        return may(f"{form} in archives in archives")
    found = worst(_entry(view, entry) for entry in entries if not _is_folder(entry))
    if found is None:
        return unknown(f"{form} of nothing")
    return data(f"{form} of data") if found.content is Content.DATA else replace(found, form=f"{form}: {found.form}")


def _is_folder(entry: Entry) -> bool:
    return entry.name.endswith("/") and entry.source is not None and entry.source.size == 0


def _entry(view: View, entry: Entry) -> Look:
    place = shown(entry.name)
    if entry.source is None:
        return may(f"{place}, which cannot be looked at")
    inner = View(entry.source, entry.name, view.budget, entry.whole, view.depth + 1)
    found = _configuration(inner) or _look(inner)
    return Look(found.content, f"{place}: {found.form}")


def _configuration(view: View) -> Look | None:
    """What the archive as a whole is, where one of its entries says so."""
    if view.name == "config.json":
        text = view.source.read(0, _MAXIMUM_CONFIGURATION)
        if b'"class_name"' in text:
            return graphs.configured(text) or may("Keras model")
    if view.name == "schema.json" and b'"__loader__"' in view.source.read(0, _MAXIMUM_CONFIGURATION):
        return may("skops model, which names Python classes")
    return None


def _compressed(view: View) -> Look | None:
    opaque = next((kind for magic, kind in OPAQUE.items() if view.head.startswith(magic)), None)
    if opaque is not None:
        return may(f"{opaque}, which is not looked into")
    found = unpacked(view)
    if found is None:
        return None
    kind, text, whole = found
    if view.depth >= MAXIMUM_DEPTH:
        return may(f"{kind} in archives in archives")
    if not text and not whole:
        return may(f"{kind} that cannot be unpacked")
    name = view.name.rpartition(".")[0]
    inner = _look(View(Held(text), name or view.name, view.budget, whole, view.depth + 1))
    return Look(inner.content, f"{kind}: {inner.form}")


_RECOGNISERS: tuple[Recogniser, ...] = (
    pickled,
    programs.native,
    _packed,
    _gathered,
    _compressed,
    numbers.array,
    numbers.tensors,
    numbers.known_data,
    graphs.onnx,
    graphs.saved_model,
    graphs.hdf5,
)
