"""The paths of the API, their methods and the scopes that they ask for."""

import re
from typing import Final
from urllib.parse import unquote

import attrs

_PORTFOLIOS: Final = frozenset({"portfolios:admin", "portfolios:read"})
_EXECUTIONS: Final = "/portfolios/rebalancings/executions"


@attrs.frozen
class Route:
    """A path of the API; each has one method.

    Attributes:
        name: What it is called in the counters.
        method: The method that it takes.
        pattern: The path.
        scopes: A token needs one of these; none for a route without a token.
    """

    name: str
    method: str
    pattern: re.Pattern[str]
    scopes: frozenset[str]


ROUTES: Final = (
    Route("token", "POST", re.compile("/auth/token"), frozenset()),
    Route(
        "verify_keys",
        "GET",
        re.compile("/auth/verify_keys"),
        frozenset({"webhooks:read", "webhooks:admin"}),
    ),
    Route("trigger", "POST", re.compile(_EXECUTIONS), frozenset({"portfolios:admin"})),
    Route("execution", "GET", re.compile(f"{_EXECUTIONS}/([^/]+)"), _PORTFOLIOS),
    Route("orders", "GET", re.compile(f"{_EXECUTIONS}/([^/]+)/orders"), _PORTFOLIOS),
)


def find_route(path: str) -> tuple[Route, str] | None:
    """Return the route of a path, and the execution id in it.

    Args:
        path: The path as sent.

    Returns:
        The route with the decoded execution id (empty for routes without one), or None for a path
        that does not exist.
    """
    for route in ROUTES:
        found = route.pattern.fullmatch(path)
        if found is not None:
            return route, unquote(found.group(1)) if found.groups() else ""
    return None
