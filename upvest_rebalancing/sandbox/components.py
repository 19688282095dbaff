"""The components of a request that a signature covers (RFC 9421, 2), and the signature base."""

from collections.abc import Sequence

from upvest_rebalancing.sandbox.messages import Message

NEVER_COVERED_PREFIXES = ("cf-", "cdn-", "cookie", "x-", "priority", "upvest-signature", "sec-")
NEVER_COVERED_NAMES = frozenset(
    {
        "user-agent",
        "accept-encoding",
        "connection",
        "host",
        "signature",
        "signature-input",
    }
)
DERIVABLE = frozenset(
    {
        "@method",
        "@path",
        "@query",
        "@authority",
        "@scheme",
        "@target-uri",
        "@request-target",
    }
)
BODY_HEADERS = ("content-length", "content-type", "content-digest")
_HEADERS_WHERE_SENT = (
    "accept",
    "authorization",
    "idempotency-key",
    "upvest-client-id",
    "upvest-api-version",
    "date",
)

Lines = tuple[tuple[str, str], ...]


class ComponentError(ValueError):
    """Refuse a component that a signature of this request cannot cover."""


def required_components(message: Message, *, token_request: bool) -> tuple[str, ...]:
    """Return the names that a signature of a request has to cover, as Upvest documents them.

    Args:
        message: The request.
        token_request: Whether it asks for a token, and so needs no `authorization`.
    """
    names = ["@method", "@path"]
    if message.query:
        names.append("@query")
    for name in _HEADERS_WHERE_SENT:
        if name == "authorization" and token_request:
            continue
        if message.header(name) is not None:
            names.append(name)
    if message.body:
        names.extend(BODY_HEADERS)
    return tuple(names)


def component_value(message: Message, name: str) -> str:
    """Return a component's value (RFC 9421, 2.1 and 2.2).

    Args:
        message: The request.
        name: The component's name, such as `@path` or `accept`.

    Raises:
        ComponentError: The request has no such component, or none that may be covered.
    """
    if name.startswith("@"):
        return _derived_value(message, name)
    if name != name.lower():
        detail = f'the covered component "{name}" has to be written in lower case'
        raise ComponentError(detail)
    if name in NEVER_COVERED_NAMES or name.startswith(NEVER_COVERED_PREFIXES):
        detail = f'"{name}" is among the headers that are never covered: leave it out'
        raise ComponentError(detail)
    value = message.header(name)
    if value is None:
        detail = f'the signature covers "{name}", but the request has no such header'
        raise ComponentError(detail)
    return value


def _derived_value(message: Message, name: str) -> str:
    if name not in DERIVABLE:
        detail = (
            f'"{name}" is not a component that a request can derive here; '
            f"there are {', '.join(sorted(DERIVABLE))}"
        )
        raise ComponentError(detail)
    values = {
        "@method": message.method,
        "@path": message.path,
        "@query": f"?{message.query}",
        "@authority": message.authority,
        "@scheme": "http",
        "@target-uri": f"http://{message.authority}{message.origin_target}",
        "@request-target": message.target,
    }
    return values[name]


def signature_base(lines: Sequence[tuple[str, str]], parameters: str) -> bytes:
    """Return the bytes that are signed (RFC 9421, 2.5).

    Args:
        lines: Pairs of a component's name and its value, in the order of the covered list.
        parameters: The covered list with its parameters, as written in `signature-input`.
    """
    written = [f'"{name}": {value}' for name, value in lines]
    written.append(f'"@signature-params": {parameters}')
    return "\n".join(written).encode("latin-1")
