"""XML without surprises: a tree of elements that know their lines; no document type, no entities of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from ..errors import InputError, nearest

MOST_ELEMENTS = 1_000_000


@dataclass
class Element:
    """An element of a file, its attributes and children."""

    tag: str
    attributes: dict[str, str]
    file: str
    line: int
    children: list[Element] = field(default_factory=list)

    def fault(self, message: str) -> InputError:
        return InputError(f"{self.file}:{self.line}: {self.tag}: {message}")

    def whole(self, name: str, least: int = 0, most: int = 1 << 62, default: int | None = None) -> int:
        """An attribute that is a whole number of at least `least`; without a default it must be there."""
        text = self.attributes.get(name)
        if text is None:
            if default is None:
                raise self.fault(f"has no {name}")
            return default
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            limit = f"of at least {least}" if most == 1 << 62 else f"from {least} to {most}"
            raise self.fault(f"{name} has to be a whole number {limit}, not {text!r}")
        return value

    def word(self, name: str, known: Sequence[str] = (), default: str | None = None) -> str:
        """An attribute that is one of some words, or any text."""
        text = self.attributes.get(name, default)
        if text is None:
            raise self.fault(f"has no {name}")
        if known and text not in known:
            raise self.fault(f"unknown {name} {text!r}{nearest(text, known)}; known: {', '.join(known)}")
        return text

    def inside(self, *tags: str) -> list[Element]:
        """The children of the first of the tags; none may be of another than these."""
        for child in self.children:
            if child.tag not in tags:
                raise child.fault(f"expected <{'> or <'.join(tags)}> here{nearest(child.tag, tags)}")
        return [child for child in self.children if child.tag == tags[0]]


def read_xml(data: bytes, file: str) -> Element:
    """The root of an XML file. Raises InputError with the line; refuses a document type, and so every entity bomb."""
    parser = expat.ParserCreate()
    root = Element("", {}, file, 0)
    stack, count = [root], 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        element = Element(tag, attributes, file, parser.CurrentLineNumber)
        if count > MOST_ELEMENTS:
            raise element.fault(f"more than {MOST_ELEMENTS} elements")
        stack[-1].children.append(element)
        stack.append(element)

    def text(data: str) -> None:
        if data.strip():
            raise stack[-1].fault(f"text {data.strip()[:40]!r} between the elements")

    def doctype(*_: Any) -> None:
        raise InputError(f"{file}:{parser.CurrentLineNumber}: a document type is not read (it could define entities)")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: stack.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(f"{file}:{error.lineno}:{error.offset + 1}: not XML: {expat.ErrorString(error.code)}") from None
    return root.children[0]
