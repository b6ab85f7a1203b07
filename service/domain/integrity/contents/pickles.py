"""Pickles of every protocol, by walking over their opcodes. Nothing is unpickled: the walk only counts the stack.

A pickle of protocol 2 or later says so in its first two bytes. Earlier ones are text like any other, so those count
only if the walk comes to an opcode that runs something, as the machine would. PEP 307, PEP 3154, PEP 574; CPython's
pickletools.
"""

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.domain.integrity.contents.content import Look, code, may
from service.domain.integrity.contents.source import HEAD_BYTES, Source, View

_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_RUNS = {"REDUCE", "INST", "OBJ", "BUILD", "NEWOBJ", "NEWOBJ_EX"}
_IMPORTS = {"GLOBAL", "INST", "STACK_GLOBAL"}
_STOPS = {"PERSID"}
"""Names something that a plain machine does not have, and no other takes by a text."""
_LINES = {"GLOBAL": 2, "INST": 2}
_PROTO = 0x80
_NEWEST = 5
_MAXIMUM_WALK = 2**20
"""Bytes that the walk passes before it gives up, and says so."""
_NAME_BYTES = 2**12
"""No module has a longer name."""
_COUNT_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def pickled(view: View) -> Look | None:
    """A pickle, if it is one."""
    head = view.head
    if head[:1] == b"\x80" and len(head) > 2 and head[1] <= _NEWEST and head[2] in _OPCODES:
        return code(f"pickle of protocol {head[1]}")
    return _of_text(view) if head[:1] and head[0] in _OPCODES else None


def _of_text(view: View) -> Look | None:
    walk = _Walk()
    for name in _opcodes(view):
        if name is None:
            return may("pickle of protocol 0 or 1, longer than is looked at")
        if not walk.goes_on(name):
            return None
        if walk.imports and (name in _RUNS or name == "STOP"):
            return code("pickle of protocol 0 or 1")
        if name == "STOP":
            return None
    return None


@dataclass(slots=True)
class _Walk:
    """The stack, as far as there is something on it; True for a mark."""

    stack: list[bool] = field(default_factory=list)
    imports: bool = False

    def goes_on(self, name: str) -> bool:
        """Whether the machine would go on after this opcode, and not end for want of operands."""
        if name in _STOPS:
            return False
        opcode = _BY_NAME[name]
        self.imports |= name in _IMPORTS
        before = opcode.stack_before
        operands = len(before)
        if pickletools.markobject in before:
            if True not in self.stack:
                return False
            while not self.stack.pop():
                pass
            operands = before.index(pickletools.markobject)
        if len(self.stack) < operands:
            return False
        del self.stack[len(self.stack) - operands :]
        self.stack += [kind is pickletools.markobject for kind in opcode.stack_after]
        return True


_BY_NAME = {opcode.name: opcode for opcode in pickletools.opcodes}


def _opcodes(view: View) -> Iterator[str | None]:
    """Names of the opcodes, as far as they can be told; `None` where the bound comes before an end."""
    reader = _Reader(view.source)
    while reader.offset < view.source.size:
        if reader.offset >= _MAXIMUM_WALK or not view.budget.step():
            yield None
            return
        opcode = _OPCODES.get(int.from_bytes(reader.take(1), "little"))
        if opcode is None or not reader.pass_over(opcode):
            return
        yield opcode.name


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Reader:
    """Goes over a source by pages."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._page = b""
        self._start = 0
        self.offset = 0

    def take(self, count: int) -> bytes:
        """Fewer bytes at the end."""
        start = self._ahead(count)
        self.offset += count
        return self._page[start : start + count]

    def pass_over(self, opcode: pickletools.OpcodeInfo) -> bool:
        """The argument of an opcode; whether it has one."""
        argument = opcode.arg
        if argument is None:
            return True
        if argument.n == pickletools.UP_TO_NEWLINE:
            return all(self._line(text=opcode.name in _LINES) for _ in range(_LINES.get(opcode.name, 1)))
        counted = _COUNT_BYTES.get(argument.n)
        length = argument.n if counted is None else int.from_bytes(self.take(counted), "little")
        self.offset += length
        return self.offset <= self._source.size

    def _line(self, *, text: bool) -> bool:
        """Whether there is one; names of modules are UTF-8, and of what else a line is, it does not matter here."""
        while (start := self._ahead(_NAME_BYTES)) < len(self._page):
            end = self._page.find(b"\n", start)
            line = self._page[start : end if end >= 0 else None]
            self.offset += len(line) + (end >= 0)
            if text and not _is_utf8(line):
                return False
            if end >= 0 or self.offset >= _MAXIMUM_WALK:
                return True
        return False

    def _ahead(self, count: int) -> int:
        """Where in the page is what comes next, at least so much of it if it is there."""
        wanted = max(0, min(count, self._source.size - self.offset))
        if not self._start <= self.offset <= self._start + len(self._page) - wanted:
            self._page, self._start = self._source.read(self.offset, HEAD_BYTES), self.offset
        return self.offset - self._start
