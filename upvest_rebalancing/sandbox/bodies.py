"""The bodies of requests: the trigger's JSON and the token request's form."""

import json
import re
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import parse_qsl

import attrs

from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.problems import ProblemError
from upvest_rebalancing.sandbox.uuids import is_uuid
from upvest_rebalancing.sandbox.world import TriggerKind

_FORM: Final = re.compile(
    r'application/x-www-form-urlencoded(\s*;\s*charset="?utf-?8"?)?', re.IGNORECASE
)
_KINDS: Final = ("accounts", "allocations")


@attrs.frozen
class TriggerBody:
    """What a trigger asks for.

    Attributes:
        kind: What the ids are ids of.
        ids: The ids in lower case, as often and in the order as they were sent.
    """

    kind: TriggerKind
    ids: tuple[str, ...]


@attrs.frozen
class TokenForm:
    """What a token request asks for."""

    client_id: str
    client_secret: str = attrs.field(repr=False)
    scopes: tuple[str, ...]


def trigger_body(message: Message) -> TriggerBody:
    """Read the body of a trigger.

    Args:
        message: The request.

    Raises:
        ProblemError: It is not what the specification asks for (400); the detail says where.
    """
    content_type = message.header("content-type")
    if content_type != "application/json":
        detail = f"content-type {content_type!r}: must be 'application/json', without a charset"
        raise ProblemError(400, detail)
    try:
        content: object = json.loads(message.body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, f"the body is not JSON in UTF-8: {error}") from error
    if not isinstance(content, dict):
        raise ProblemError(400, f"the body must be a JSON object, not {_kind_of(content)}")
    members = cast("dict[str, object]", content)
    if unknown := sorted(set(members) - set(_KINDS)):
        raise ProblemError(400, f"the body has unknown members: {', '.join(unknown)}")
    if len(members) != 1:
        found = "both" if members else "neither"
        detail = f"the body must have exactly one of accounts and allocations; it has {found}"
        raise ProblemError(400, detail)
    kind: TriggerKind = "accounts" if "accounts" in members else "allocations"
    return TriggerBody(kind=kind, ids=_ids(kind, members[kind]))


def _ids(kind: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ProblemError(400, f"{kind} must be an array of UUIDs, not {_kind_of(value)}")
    if not value:
        raise ProblemError(400, f"{kind} must not be empty")
    ids: list[str] = []
    for index, entry in enumerate(cast("list[object]", value)):
        if not isinstance(entry, str) or not is_uuid(entry):
            shown = repr(entry[:80]) if isinstance(entry, str) else _kind_of(entry)
            raise ProblemError(400, f"{kind}[{index}] must be a UUID with hyphens, not {shown}")
        ids.append(entry.lower())
    return tuple(ids)


def _kind_of(value: object) -> str:
    names: Mapping[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names[type(value)]


def token_form(message: Message) -> TokenForm:
    """Read the form of a token request.

    Args:
        message: The request.

    Raises:
        ProblemError: It is not the form that the documentation asks for (400).
    """
    content_type = message.header("content-type")
    if content_type is None or not _FORM.fullmatch(content_type):
        detail = f"content-type {content_type!r}: must be 'application/x-www-form-urlencoded'"
        raise ProblemError(400, detail)
    try:
        pairs = parse_qsl(
            message.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(message.body),
            errors="strict",
        )
    except ValueError:
        # The parser's words would quote the form, and with it the secret.
        detail = "the body is not a form: name=value pairs joined with &, percent-encoded UTF-8"
        raise ProblemError(400, detail) from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise ProblemError(400, f"the form has {name} more than once")
        form[name] = value
    grant_type = _required(form, "grant_type")
    if grant_type != "client_credentials":
        detail = f"grant_type={grant_type!r}: must be 'client_credentials'"
        raise ProblemError(400, detail, type="unsupported_grant_type")
    client_id = _required(form, "client_id")
    client_secret = _required(form, "client_secret")
    scopes = tuple(dict.fromkeys(_required(form, "scope").split()))
    if not scopes:
        raise ProblemError(400, "the form's scope is empty: name at least one scope")
    return TokenForm(client_id=client_id.lower(), client_secret=client_secret, scopes=scopes)


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        state = "empty" if value is not None else "missing"
        raise ProblemError(400, f"the form's {name} is {state}")
    return value
