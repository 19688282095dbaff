"""Turn an answer into a model, or into the typed error that it stands for.

cattrs does the structuring. Unknown fields and values pass, optional fields may be missing or
null, and everything else that is not as the specification has it is an `InvalidAnswerError` that
says where in the document the fault is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from upvest_rebalancing.errors import (
    AnsweredError,
    AnswerTooLargeError,
    InvalidAnswerError,
    RedirectError,
    error_class,
)
from upvest_rebalancing.models import (
    CancellationReason,
    Execution,
    ExecutionOrder,
    ListOrder,
    OrderStatus,
    Page,
    TriggeredExecution,
)
from upvest_rebalancing.protocol.messages import Response
from upvest_rebalancing.protocol.redaction import LONGEST, shown
from upvest_rebalancing.protocol.retries import parse_http_date, parse_retry_after

_ARRAYS: Final = ("data", "accounts", "allocations")

SHOWN_BODY: Final = 500
"""Characters of a body that an error shows."""

_LONGEST_MEMBER: Final = 1000

_Model = TypeVar("_Model", bound=attrs.AttrsInstance)


def decode_trigger(response: Response, idempotency_key: str) -> TriggeredExecution:
    """Read the answer to a trigger.

    Raises:
        InvalidAnswerError: The answer can't be read; the execution probably exists.
    """
    raw = _json_object(response)
    raw_id = raw.get("id")
    try:
        execution_id = UUID(raw_id)
    except (ValueError, TypeError, AttributeError):
        raise _invalid(response, f"$.id is {str(raw_id)[:80]!r}, not a UUID") from None
    return TriggeredExecution(
        id=execution_id,
        idempotency_key=idempotency_key,
        request_id=response.request_id,
        raw=raw,
    )


def decode_execution(response: Response) -> Execution:
    """Read an execution.

    Raises:
        InvalidAnswerError: The answer can't be read.
    """
    return attrs.evolve(_structure(response, Execution), request_id=response.request_id)


def decode_page(response: Response) -> Page:
    """Read a page of orders.

    Raises:
        InvalidAnswerError: The answer can't be read.
    """
    return attrs.evolve(_structure(response, Page), request_id=response.request_id)


def decode_error(response: Response, now: datetime) -> AnsweredError:
    """Make the error that an answer without success stands for.

    Args:
        response: The answer.
        now: The time; what a ``Retry-After`` date is measured from where the answer has no date.

    Returns:
        The error, to be raised by the caller once it knows the attempts.
    """
    common: dict[str, Any] = {
        "status": response.status,
        "content_type": response.content_type or None,
        "body": body_text(response),
        "request_id": response.request_id,
    }
    if response.too_large:
        text = f"the answer (HTTP {response.status}) is larger than the limit"
        return AnswerTooLargeError(text, **common)
    if 300 <= response.status < 400:  # noqa: PLR2004
        location = response.headers.get("location")
        if location is not None:
            location = shown(location, response.secrets, _LONGEST_MEMBER)
        text = f"HTTP {response.status} redirects to {location!r}; redirects are not followed"
        return RedirectError(text, location=location, **common)
    problem = _problem(response)
    common["request_id"] = response.request_id or problem.get("request_id")
    members = ("type", "title", "detail", "instance")
    common |= {name: problem.get(name) for name in members}
    said = problem.get("detail") or problem.get("title") or problem.get("type")
    cls = error_class(response.status)
    text = f"HTTP {response.status}"
    if said:
        text += f": {said}"
    elif common["body"]:
        text += f", without problem details: {common['body'][:80]!r}"
    return cls(text, **common, retry_after=retry_after(response, now))


def retry_after(response: Response, now: datetime) -> float | None:
    """Read how long an answer asks to wait.

    Args:
        response: The answer.
        now: The time, for answers without a date of their own.

    Returns:
        Seconds, or None.
    """
    measured_from = parse_http_date(response.headers.get("date")) or now
    return parse_retry_after(response.headers.get("retry-after"), measured_from)


def body_text(response: Response) -> str:
    """Give the beginning of a body as text, without credentials."""
    text = response.body[: SHOWN_BODY * 32].decode("utf-8", errors="replace")
    return shown(text, response.secrets, SHOWN_BODY)


def _problem(response: Response) -> dict[str, str]:
    try:
        raw = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(raw, dict):
        return {}
    # The token endpoint may answer in OAuth's words instead (RFC 6749, section 5.2).
    raw = {"type": raw.get("error"), "detail": raw.get("error_description")} | raw
    members = {
        name: raw.get(name) for name in ("type", "title", "detail", "instance", "request_id")
    }
    return {
        name: shown(text, response.secrets, LONGEST if name == "detail" else _LONGEST_MEMBER)
        for name, text in members.items()
        if isinstance(text, str) and text
    }


def _json_object(response: Response) -> dict[str, Any]:
    kind = response.content_type
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise _invalid(response, f"the content type is {kind}, not application/json")
    try:
        raw = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise _invalid(response, f"the body is no JSON ({error})") from None
    if not isinstance(raw, dict):
        raise _invalid(response, f"the body is a JSON {type(raw).__name__}, not an object")
    return cast("dict[str, Any]", raw)


def _structure(response: Response, cls: type[_Model]) -> _Model:
    raw = _json_object(response)
    try:
        return _converter.structure(raw, cls)
    except cattrs.BaseValidationError as error:
        # The page may be wrong in a thousand places; the first few say enough.
        faults = "; ".join(cattrs.transform_error(error, path="$")[:3])
        raise _invalid(response, faults) from None
    except TypeError as error:
        raise _invalid(response, f"{error} @ $") from None


def _invalid(response: Response, fault: str) -> InvalidAnswerError:
    return InvalidAnswerError(
        f"HTTP {response.status}, but {shown(fault, response.secrets, _LONGEST_MEMBER)}",
        status=response.status,
        content_type=response.content_type or None,
        body=body_text(response),
        request_id=response.request_id,
    )


def _uuid(value: object, _: object) -> UUID:
    if not isinstance(value, str):
        raise TypeError(f"expected a UUID, got {value!r}")
    return UUID(value)


def _datetime(value: object, _: object) -> datetime:
    if not isinstance(value, str):
        raise TypeError(f"expected a date-time, got {value!r}")
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


def _keeping_raw(structure: Callable[..., _Model], cls: type[_Model]) -> Callable[..., _Model]:
    def hook(value: object, _: object) -> _Model:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {type(value).__name__}")
        for name in _ARRAYS:
            # cattrs takes anything that can be iterated over; an empty object would pass.
            if not isinstance(value.get(name, []), list | None):
                raise TypeError(f"expected an array in {name}")
        return structure({**value, "raw": value}, cls)

    return hook


def _passed(value: object, _: object) -> object:
    return value


def _build() -> cattrs.Converter:
    # Detailed validation is what names the place of a fault.
    converter = cattrs.Converter(detailed_validation=True)
    converter.register_structure_hook(UUID, _uuid)
    converter.register_structure_hook(datetime, _datetime)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _whole)
    for enumeration in (OrderStatus, CancellationReason, ListOrder):
        converter.register_structure_hook(enumeration, lambda value, cls: cls(value))
    raw = override(struct_hook=_passed)
    ours = override(omit=True)
    order = make_dict_structure_fn(ExecutionOrder, converter, raw=raw)
    converter.register_structure_hook(ExecutionOrder, _keeping_raw(order, ExecutionOrder))
    page = make_dict_structure_fn(Page, converter, raw=raw, attempts=ours, request_id=ours)
    converter.register_structure_hook(Page, _keeping_raw(page, Page))
    execution = make_dict_structure_fn(
        Execution, converter, raw=raw, attempts=ours, request_id=ours
    )
    converter.register_structure_hook(Execution, _keeping_raw(execution, Execution))
    return converter


_converter = _build()
