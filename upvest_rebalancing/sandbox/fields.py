"""Structured fields (RFC 8941), as far as signatures and digests need them."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import NoReturn

import attrs

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,3})?")
_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BYTES = re.compile(r":([A-Za-z0-9+/]*={0,2}):")


class FieldError(ValueError):
    """Refuse a field that is not a structured field; the message says where and why.

    Args:
        problem: What is wrong, without a word of the field.
        found: The part of the field that is wrong, if it may be shown.
    """

    def __init__(self, problem: str, found: str | None = None) -> None:
        super().__init__(problem if found is None else f"{problem}, found {found!r}")
        self.problem = problem


class Token(str):
    """A bare word, as opposed to a quoted string."""

    __slots__ = ()


Bare = bool | int | float | str | bytes


@attrs.frozen
class Item:
    """A bare value with its parameters."""

    value: Bare
    parameters: Mapping[str, Bare]


@attrs.frozen
class Member:
    """One member of a dictionary.

    Attributes:
        raw: The member's value as it was written, parameters and all.
        value: A bare value, or the items of an inner list.
        parameters: The member's own parameters.
    """

    raw: str
    value: Bare | tuple[Item, ...]
    parameters: Mapping[str, Bare]


def parse_dictionary(text: str) -> dict[str, Member]:
    """Read a dictionary field (RFC 8941, 4.2.2).

    Args:
        text: The field's value, its lines joined with commas.

    Raises:
        FieldError: The text is no dictionary; the message says at which character and why.
    """
    reader = _Reader(text)
    members: dict[str, Member] = {}
    reader.skip(" ")
    while not reader.at_end():
        key = reader.key()
        members[key] = reader.member()
        reader.skip(" \t")
        if reader.at_end():
            break
        if not reader.take(","):
            reader.fail("a comma or the end of the field")
        reader.skip(" \t")
        if reader.at_end():
            reader.fail("another member after the comma")
    return members


class _Reader:
    """A cursor over the text of a field."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def fail(self, wanted: str) -> NoReturn:
        found = self._text[self._at : self._at + 20]
        message = f"expected {wanted} at character {self._at}"
        raise FieldError(message, found)

    def skip(self, characters: str) -> None:
        while not self.at_end() and self._text[self._at] in characters:
            self._at += 1

    def take(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def key(self) -> str:
        found = self.match(_KEY)
        if found is None:
            self.fail("a lower-case key")
        return found.group()

    def member(self) -> Member:
        if not self.take("="):
            start = self._at
            parameters = self.parameters()
            return Member(raw=self._text[start : self._at], value=True, parameters=parameters)
        start = self._at
        value: Bare | tuple[Item, ...] = self.inner_list() if self.take("(") else self.bare()
        parameters = self.parameters()
        return Member(raw=self._text[start : self._at], value=value, parameters=parameters)

    def inner_list(self) -> tuple[Item, ...]:
        items: list[Item] = []
        self.skip(" ")
        while not self.take(")"):
            if self.at_end():
                self.fail("the list's closing parenthesis")
            value = self.bare()
            items.append(Item(value=value, parameters=self.parameters()))
            if not self._text.startswith((" ", ")"), self._at):
                self.fail("a space or the list's closing parenthesis")
            self.skip(" ")
        return tuple(items)

    def parameters(self) -> dict[str, Bare]:
        found: dict[str, Bare] = {}
        while self.take(";"):
            self.skip(" ")
            key = self.key()
            found[key] = self.bare() if self.take("=") else True
        return found

    def bare(self) -> Bare:
        start = self._text[self._at : self._at + 1]
        if start == '"':
            return self._string()
        if start == ":":
            return self._bytes()
        if start == "?":
            return self._boolean()
        if number := self.match(_NUMBER):
            return float(number.group()) if number.group(1) else int(number.group())
        if word := self.match(_TOKEN):
            return Token(word.group())
        return self.fail("a value: a quoted string, a number, a word or bytes between colons")

    def _string(self) -> str:
        found = self.match(_STRING)
        if found is None:
            self.fail("a quoted string of ASCII with its closing quotation mark")
        return re.sub(r'\\(["\\])', r"\1", found.group(1))

    def _boolean(self) -> bool:
        if self.take("?1"):
            return True
        if not self.take("?0"):
            self.fail("?0 or ?1")
        return False

    def _bytes(self) -> bytes:
        found = self.match(_BYTES)
        if found is None:
            self.fail("base64 of the standard alphabet (A-Z a-z 0-9 + /) between two colons")
        try:
            return base64.b64decode(found.group(1), validate=True)
        except binascii.Error as error:
            message = f"the base64 between the colons is broken: {error}"
            raise FieldError(message) from error
