"""The kinds of fault: what each does, when, and where."""

import enum
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import attrs

RouteName: TypeAlias = Literal["token", "trigger", "execution", "orders", "verify_keys"]

_ALL: Final[tuple[RouteName, ...]] = ("token", "trigger", "execution", "orders", "verify_keys")
_ORDERS: Final[tuple[RouteName, ...]] = ("orders",)
_MOST_BOMB_BYTES: Final = 2**30
_MANY: Final = 10**9


class FaultKind(enum.StrEnum):
    """What can go wrong; `explanation` says it in a line for each."""

    ERROR = "error"
    ERROR_AFTER_WORK = "error-after-work"
    HTML_ERROR = "html-error"
    EMPTY_ERROR = "empty-error"
    REDIRECT = "redirect"
    RESET = "reset"
    RESET_AFTER_WORK = "reset-after-work"
    DISCONNECT = "disconnect"
    DISCONNECT_AFTER_WORK = "disconnect-after-work"
    HANG = "hang"
    HANG_AFTER_WORK = "hang-after-work"
    TRUNCATED = "truncated"
    TRUNCATED_CHUNKS = "truncated-chunks"
    SLOW = "slow"
    WRONG_CONTENT_TYPE = "wrong-content-type"
    CUT_JSON = "cut-json"
    GZIP = "gzip"
    GZIP_BOMB = "gzip-bomb"
    UNKNOWN_ENUM = "unknown-enum"
    UNKNOWN_FIELDS = "unknown-fields"
    MISSING_FIELDS = "missing-fields"
    SHORT_TOKEN = "short-token"  # noqa: S105 - a name, no secret
    REVOKE_TOKENS = "revoke-tokens"
    PAGE_CAP = "page-cap"
    OFFSET_IGNORED = "offset-ignored"
    OFFSET_CLAMPED = "offset-clamped"
    EMPTY_PAGE = "empty-page"
    WRONG_COUNT = "wrong-count"
    WRONG_TOTAL = "wrong-total"
    REPEATED_ROWS = "repeated-rows"
    SHRINKING_LIST = "shrinking-list"
    LATE_ORDERS = "late-orders"
    GROWING_LIST = "growing-list"

    @property
    def explanation(self) -> str:
        """What happens, in one line."""
        return KINDS[self].line


class Moment(enum.Enum):
    """When a fault strikes on a request's way."""

    ARRIVAL = enum.auto()
    """Before the request is looked at; it is worked on all the same."""
    INSTEAD = enum.auto()
    """In place of looking at the request: nothing is done."""
    TOKEN = enum.auto()
    """While a token is issued."""
    LISTING = enum.auto()
    """While a page of orders is read."""
    CONTENT = enum.auto()
    """After the work was done: the answer's JSON is another."""
    DELIVERY = enum.auto()
    """After the work was done: the answer gets lost, or arrives otherwise."""


@attrs.frozen
class KindSpec:
    """What a kind of fault is.

    Attributes:
        line: What happens, in one line.
        moment: When it strikes.
        routes: Where it can strike.
        parameters: Its parameters with their defaults.
        values: The lowest and the highest `value`.
    """

    line: str
    moment: Moment
    routes: tuple[RouteName, ...] = _ALL
    parameters: Mapping[str, str | float | int | None] = attrs.field(factory=dict)
    values: tuple[int, int] = (0, 0)


_ERROR: Final[Mapping[str, str | float | int | None]] = {
    "value": 503,
    "retry_after": None,
    "seconds": 1.0,
}
_ERROR_LINE: Final = (
    "the status VALUE with a problem document{}; RETRY_AFTER is that header's text, "
    "or 'date' for the date in SECONDS"
)
_REACHES: Final[Mapping[str, str | float | int | None]] = {"seconds": 2.0, "value": 0}

KINDS: Final[Mapping[FaultKind, KindSpec]] = {
    FaultKind.ERROR: KindSpec(
        _ERROR_LINE.format(", and nothing is done"), Moment.INSTEAD, _ALL, _ERROR, (400, 599)
    ),
    FaultKind.ERROR_AFTER_WORK: KindSpec(
        _ERROR_LINE.format(" after the work was done"), Moment.DELIVERY, _ALL, _ERROR, (400, 599)
    ),
    FaultKind.HTML_ERROR: KindSpec(
        "the status VALUE (200 too) with a page of HTML, as proxies answer; nothing is done",
        Moment.INSTEAD,
        _ALL,
        {"value": 502},
        (200, 599),
    ),
    FaultKind.EMPTY_ERROR: KindSpec(
        "the status VALUE (200 too) without a body or a content type; nothing is done",
        Moment.INSTEAD,
        _ALL,
        {"value": 502},
        (200, 599),
    ),
    FaultKind.REDIRECT: KindSpec(
        "the redirect VALUE to LOCATION; nothing is done",
        Moment.INSTEAD,
        _ALL,
        {"value": 307, "location": "/redirected"},
        (300, 399),
    ),
    FaultKind.RESET: KindSpec("the connection is reset before anything is done", Moment.INSTEAD),
    FaultKind.RESET_AFTER_WORK: KindSpec(
        "the connection is reset after the work was done", Moment.DELIVERY
    ),
    FaultKind.DISCONNECT: KindSpec(
        "the connection is closed without an answer before anything is done", Moment.INSTEAD
    ),
    FaultKind.DISCONNECT_AFTER_WORK: KindSpec(
        "the connection is closed without an answer after the work was done", Moment.DELIVERY
    ),
    FaultKind.HANG: KindSpec(
        "no answer ever, and nothing is done; it ends when the client leaves or the sandbox closes",
        Moment.INSTEAD,
    ),
    FaultKind.HANG_AFTER_WORK: KindSpec(
        "no answer ever after the work was done; it ends as that of hang does", Moment.DELIVERY
    ),
    FaultKind.TRUNCATED: KindSpec(
        "the connection ends after VALUE percent of the body that content-length announces",
        Moment.DELIVERY,
        _ALL,
        {"value": 50},
        (0, 99),
    ),
    FaultKind.TRUNCATED_CHUNKS: KindSpec(
        "a chunked answer breaks off after VALUE percent of the body, without the last chunk",
        Moment.DELIVERY,
        _ALL,
        {"value": 50},
        (0, 100),
    ),
    FaultKind.SLOW: KindSpec(
        "the whole answer, in VALUE pieces over SECONDS",
        Moment.DELIVERY,
        _ALL,
        {"seconds": 1.0, "value": 10},
        (1, 10_000),
    ),
    FaultKind.WRONG_CONTENT_TYPE: KindSpec(
        "the right answer as CONTENT_TYPE",
        Moment.DELIVERY,
        _ALL,
        {"content_type": "text/plain"},
    ),
    FaultKind.CUT_JSON: KindSpec(
        "a whole answer whose JSON ends after VALUE percent",
        Moment.DELIVERY,
        _ALL,
        {"value": 50},
        (0, 99),
    ),
    FaultKind.GZIP: KindSpec(
        "the right answer, compressed whether or not that was asked for", Moment.DELIVERY
    ),
    FaultKind.GZIP_BOMB: KindSpec(
        "the right answer after VALUE bytes of white space, compressed to a thousandth",
        Moment.DELIVERY,
        _ALL,
        {"value": 2**28},
        (1, _MOST_BOMB_BYTES),
    ),
    FaultKind.UNKNOWN_ENUM: KindSpec(
        "every VALUE-th order has STATUS in place of REPLACES, or REASON if it is CANCELLED; "
        "a key of an unknown type on verify_keys",
        Moment.CONTENT,
        ("orders", "verify_keys"),
        {
            "status": "SETTLED",
            "replaces": "FILLED",
            "reason": "INVALID_ACCOUNT_STATUS",
            "value": 1,
        },
        (1, _MANY),
    ),
    FaultKind.UNKNOWN_FIELDS: KindSpec(
        "every object of the answer has fields more than are documented", Moment.CONTENT
    ),
    FaultKind.MISSING_FIELDS: KindSpec(
        "the answer lacks everything that it may lack, down to portfolio_order_id",
        Moment.CONTENT,
        ("token", "execution", "orders", "verify_keys"),
    ),
    FaultKind.SHORT_TOKEN: KindSpec(
        "a token that lives for SECONDS, as its expires_in says in whole ones",
        Moment.TOKEN,
        ("token",),
        {"seconds": 1.0},
    ),
    FaultKind.REVOKE_TOKENS: KindSpec(
        "all tokens are revoked before the request is looked at; see EVERY", Moment.ARRIVAL
    ),
    FaultKind.PAGE_CAP: KindSpec(
        "a page has at most VALUE rows, though meta repeats the limit that was asked for",
        Moment.LISTING,
        _ORDERS,
        {"value": 10},
        (0, _MANY),
    ),
    FaultKind.OFFSET_IGNORED: KindSpec(
        "always the first page, though meta repeats the offset that was asked for",
        Moment.LISTING,
        _ORDERS,
    ),
    FaultKind.OFFSET_CLAMPED: KindSpec(
        "an offset beyond VALUE counts as VALUE, though meta repeats the one asked for",
        Moment.LISTING,
        _ORDERS,
        {"value": 1000},
        (0, _MANY),
    ),
    FaultKind.EMPTY_PAGE: KindSpec(
        "a page without rows, though meta has the right total_count", Moment.LISTING, _ORDERS
    ),
    FaultKind.WRONG_COUNT: KindSpec(
        "meta.count is off by VALUE, which may be negative",
        Moment.LISTING,
        _ORDERS,
        {"value": 1},
        (-_MANY, _MANY),
    ),
    FaultKind.WRONG_TOTAL: KindSpec(
        "meta.total_count is off by VALUE, which may be negative",
        Moment.LISTING,
        _ORDERS,
        {"value": 1},
        (-_MANY, _MANY),
    ),
    FaultKind.REPEATED_ROWS: KindSpec(
        "every row of a page twice, though meta.count counts them once", Moment.LISTING, _ORDERS
    ),
    FaultKind.SHRINKING_LIST: KindSpec(
        "VALUE orders more are gone from an execution's list at each read",
        Moment.LISTING,
        _ORDERS,
        {"value": 1},
        (1, _MANY),
    ),
    FaultKind.LATE_ORDERS: KindSpec(
        "no orders for SECONDS after the trigger or, with VALUE, at the first VALUE reads",
        Moment.LISTING,
        _ORDERS,
        _REACHES,
        (0, _MANY),
    ),
    FaultKind.GROWING_LIST: KindSpec(
        "the list grows from nothing to all orders within SECONDS or, with VALUE, VALUE reads",
        Moment.LISTING,
        _ORDERS,
        _REACHES,
        (0, _MANY),
    ),
}
