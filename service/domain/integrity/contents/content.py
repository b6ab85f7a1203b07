"""The four things that a file can be, and what is said of one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Content(StrEnum):
    """Whether a file runs code when it is loaded by what usually loads it. In the order of what is to be feared."""

    DATA = "data"
    UNKNOWN = "unknown"
    MAY = "may"
    CODE = "code"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {content: rank for rank, content in enumerate(Content)}


@dataclass(frozen=True, slots=True)
class Look:
    """What a file is, by as much of it as was looked at."""

    content: Content
    form: str
    """The format, with what in it decided."""
    external: tuple[str, ...] = ()
    """Files beside it that it reads raw numbers from, by its own word."""

    def at_least(self, content: Content, because: str) -> "Look":
        """The same, or worse."""
        if self.content.rank >= content.rank:
            return self
        return replace(self, content=content, form=f"{self.form}: {because}")


def data(form: str) -> Look:
    """Nothing in it runs."""
    return Look(Content.DATA, form)


def unknown(form: str) -> Look:
    """In no form that is known here."""
    return Look(Content.UNKNOWN, form)


def may(form: str) -> Look:
    """It can carry code, or what it carries was not looked at."""
    return Look(Content.MAY, form)


def code(form: str) -> Look:
    """It runs code when it is loaded, or is a program."""
    return Look(Content.CODE, form)


def worst(looks: Iterable[Look]) -> Look | None:
    """The first of the worst: a file that is several things at once is the worst of them."""
    return max(looks, key=lambda look: look.content.rank, default=None)
