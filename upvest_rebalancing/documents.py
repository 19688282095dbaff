"""JSON documents: read them, and keep what a model was read from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

JSON: TypeAlias = Mapping[str, Any]


class FromJSON:
    """What was read from JSON, and keeps it as it came.

    A field that the server learnt yesterday can be read from `raw` today. That is seldom asked
    for, and building objects costs more than keeping bytes, so the bytes are what is kept until it
    is. They are no field of the model: two models are equal whatever they were read from, and one
    that was made by hand, or by `attrs.evolve`, was read from nothing.
    """

    __slots__ = ("_raw",)
    _raw: JSON | bytes

    @property
    def raw(self) -> JSON:
        """The JSON object as it came; read from its bytes when it is first asked for.

        Raises:
            RecursionError: It is nested too deeply for the depth of the stack that it is read at.
        """
        raw = raw_of(self)
        if isinstance(raw, bytes):
            raw = cast("JSON", read_json(raw))
            set_raw(self, raw)
        return raw

    def __reduce__(self) -> tuple[Any, ...]:
        # attrs would leave out what is no field of its own.
        return _rebuild, (type(self), self.__getstate__(), raw_of(self))


def _rebuild(cls: type[Any], state: object, raw: JSON | bytes) -> object:
    model: Any = object.__new__(cls)
    model.__setstate__(state)
    set_raw(model, raw)
    return model


# Around `frozen`: what the bytes say does not change by reading them.
set_raw = FromJSON.__dict__["_raw"].__set__
"""Set what a model was read from: a mapping, or the bytes of one."""


def raw_of(model: FromJSON) -> JSON | bytes:
    """Give what a model was read from, as it is kept; an empty object where it was not read."""
    return getattr(model, "_raw", b"{}")


def read_json(document: bytes) -> object:
    """Read a JSON document.

    Args:
        document: The bytes.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    try:
        return json.loads(document)
    except ValueError:
        # Python refuses whole numbers of thousands of digits (CVE-2020-10735). No field of ours is
        # one, and those that are must not make the rest unreadable.
        return json.loads(document, parse_int=_whole_number)


def _whole_number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
