"""Read the JSON of a success into values: cattrs structures, msgspec does it where it can.

There are two ways to the same values. The quick one hands whole documents to msgspec, which reads
bytes straight into attrs classes. Whatever it refuses goes the careful way, over ``json`` and
cattrs' own hooks, which takes all that can be taken and says of the rest where in the document the
fault is. So the careful one alone decides what is accepted; the quick one must only never accept
what that would refuse, nor read it differently.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeVar
from uuid import UUID

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn

from upvest_rebalancing.documents import read_json, set_raw
from upvest_rebalancing.models import (
    CancellationReason,
    ExecutionOrder,
    ListOrder,
    OrderStatus,
)
from upvest_rebalancing.protocol.bodies import (
    ExecutionBody,
    NotAsSpecifiedError,
    PageBody,
    TriggerBody,
)

_ARRAYS: Final = ("data", "accounts", "allocations")
_FAULTS: Final = 3
_NOT_UTC: Final = "a time is not in UTC"

_T = TypeVar("_T")
_Body = TypeVar("_Body", bound=attrs.AttrsInstance)


def structure(document: bytes, cls: type[_Body]) -> _Body:
    """Read a JSON document.

    Args:
        document: The bytes.
        cls: `TriggerBody`, `ExecutionBody` or `PageBody`.

    Returns:
        The values.

    Raises:
        NotAsSpecifiedError: The document is no JSON, or not of this class.
    """
    return _quick.structure(document, cls)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class _Rows:
    data: list[msgspec.Raw]


_REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def _read_execution() -> Callable[[bytes], ExecutionBody]:
    decode = msgspec.json.Decoder(ExecutionBody).decode

    def read(document: bytes) -> ExecutionBody:
        body = decode(document)
        _check_times(body)
        return body

    return read


def _read_page() -> Callable[[bytes], PageBody]:
    decode_page = msgspec.json.Decoder(PageBody).decode
    decode_rows = msgspec.json.Decoder(_Rows).decode

    def read(document: bytes) -> PageBody:
        page = decode_page(document)
        for order in page.data:
            # As in `_check_times`, without a call for each of a thousand rows.
            if order.created_at.tzinfo is not UTC or order.updated_at.tzinfo is not UTC:
                raise NotAsSpecifiedError(_NOT_UTC)
        # Copied by `bytes`: a row that is kept must not keep the whole page.
        rows = map(bytes, decode_rows(document).data)
        # A loop that Python does not see; a deque of no length is how one is run.
        deque(map(set_raw, page.data, rows), maxlen=0)
        return page

    return _without_collection(read)


def _without_collection(read: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Put garbage collection off: a thousand orders at once, none of them garbage, set it off.

    It is short, does not suspend, and whoever had turned collection off finds it so; only a thread
    that turns it off in this very moment may find it on.
    """

    def read_at_once(document: bytes) -> _T:
        if not gc.isenabled():
            return read(document)
        gc.disable()
        try:
            return read(document)
        finally:
            gc.enable()

    return read_at_once


def _check_times(value: ExecutionBody) -> None:
    # Times with another offset, or none, are turned to UTC on the careful way.
    if value.created_at.tzinfo is not UTC or value.updated_at.tzinfo is not UTC:
        raise NotAsSpecifiedError(_NOT_UTC)


def _check_text(document: bytes) -> None:
    # msgspec does not look at the text of fields that it passes over.
    if not document.isascii():
        document.decode()


def _structure_carefully(document: bytes, cls: type[_T]) -> _T:
    try:
        value = read_json(document)
    except (ValueError, RecursionError) as error:
        raise NotAsSpecifiedError(f"the body is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise NotAsSpecifiedError(f"the body is a JSON {type(value).__name__}, not an object")
    try:
        return _careful().structure(value, cls)
    except cattrs.BaseValidationError as error:
        # The page may be wrong in a thousand places; the first few say enough.
        faults = "; ".join(cattrs.transform_error(error, path="$")[:_FAULTS])
        raise NotAsSpecifiedError(faults) from None
    except TypeError as error:
        raise NotAsSpecifiedError(f"{error} @ $") from None


def _quickly(read: Callable[[bytes], _T]) -> Callable[[bytes, type[_T]], _T]:
    def hook(document: bytes, cls: type[_T]) -> _T:
        try:
            _check_text(document)
            return read(document)
        except _REFUSALS:
            return _structure_carefully(document, cls)

    return hook


def _uuid(value: object, _: object) -> UUID:
    if not isinstance(value, str):
        raise TypeError(f"expected a UUID, got {value!r}")
    return UUID(value)


def _datetime(value: object, _: object) -> datetime:
    if not isinstance(value, str):
        raise TypeError(f"expected a date-time, got {value!r}")
    try:
        # First, so that both ways round the digits beyond a microsecond alike.
        parsed = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        parsed = datetime.fromisoformat(value)
    # RFC 3339 asks for an offset; one that is missing is UTC by the specification.
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r}")
    return value


def _whole(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _object(structure: Callable[..., _T], cls: type[_T]) -> Callable[[object, object], _T]:
    arrays = [name for name in _ARRAYS if hasattr(cls, name)]

    def hook(value: object, _: object) -> _T:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {type(value).__name__}")
        for name in arrays:
            # cattrs takes anything that can be iterated over; an empty object would pass.
            if not isinstance(value.get(name, []), list | None):
                raise TypeError(f"expected an array in {name}")
        return structure(value, cls)

    return hook


def _order(structure: Callable[..., ExecutionOrder]) -> Callable[[object, object], ExecutionOrder]:
    structure_object = _object(structure, ExecutionOrder)

    def hook(value: object, cls: object) -> ExecutionOrder:
        order = structure_object(value, cls)
        set_raw(order, value)
        return order

    return hook


@cache
def _careful() -> cattrs.Converter:
    # Built with the first refusal, since most processes never meet one. Detailed validation is what
    # names the place of a fault.
    converter = cattrs.Converter(detailed_validation=True)
    converter.register_structure_hook(UUID, _uuid)
    converter.register_structure_hook(datetime, _datetime)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _whole)
    for enumeration in (OrderStatus, CancellationReason, ListOrder):
        converter.register_structure_hook(enumeration, lambda value, cls: cls(value))
    order = make_dict_structure_fn(ExecutionOrder, converter)
    converter.register_structure_hook(ExecutionOrder, _order(order))
    for cls in (TriggerBody, ExecutionBody, PageBody):
        found: Callable[..., Any] = make_dict_structure_fn(cls, converter)
        converter.register_structure_hook(cls, _object(found, cls))
    return converter


def _build_quick() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(
        TriggerBody, _quickly(msgspec.json.Decoder(TriggerBody).decode)
    )
    converter.register_structure_hook(ExecutionBody, _quickly(_read_execution()))
    converter.register_structure_hook(PageBody, _quickly(_read_page()))
    return converter


_quick = _build_quick()
