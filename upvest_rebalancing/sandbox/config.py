"""What can be set about a sandbox."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Literal, TypedDict

import attrs

from upvest_rebalancing.sandbox.faults import Fault
from upvest_rebalancing.sandbox.limits import LimitKind
from upvest_rebalancing.sandbox.skew import checked_skew
from upvest_rebalancing.sandbox.validators import Field, flag, one_of, real, refuse, whole

KeyType = Literal["p521", "ed25519"]

_SCOPE = re.compile(r"[a-z_]+:(admin|read)")
_HIGHEST_PORT = 65535


class ConfigFields(TypedDict, total=False):
    """The fields of `SandboxConfig`, as keyword arguments."""

    host: str
    port: int
    seed: int
    key_type: KeyType
    rate_limit: int | None
    rate_limit_kind: LimitKind
    tell_rate_limit: bool
    token_lifetime: int
    order_seconds: float
    moves_per_read: int | None
    cancelled_share: float
    scopes: tuple[str, ...]
    allocation_accounts: int
    max_signature_lifetime: int
    clock_tolerance: float
    clock_skew: float
    faults: Iterable[Fault]


def _loopback(_instance: object, attribute: Field, value: object) -> None:
    if value == "localhost":
        return
    try:
        loopback = isinstance(value, str) and ipaddress.ip_address(value).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        refuse(attribute, value, "a loopback address: '127.0.0.1', '::1' or 'localhost'")


def _scopes(_instance: object, attribute: Field, value: object) -> None:
    names = value if isinstance(value, tuple) else ()
    if not names or not all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in names):
        refuse(attribute, value, "a tuple of scopes such as 'portfolios:admin', at least one")


def _skew(_instance: object, _attribute: Field, value: object) -> None:
    checked_skew(value)


def _as_tuple(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(faults)


def _faults(_instance: object, attribute: Field, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(fault, Fault) for fault in value):
        refuse(attribute, value, "a sequence of faults")


@attrs.frozen(kw_only=True)
class SandboxConfig:
    """The settings of a sandbox; a value that cannot be is refused with a ValueError.

    Attributes:
        host: A loopback address to listen at.
        port: The TCP port, 0 for any free one.
        seed: Decides the outcomes and the identifiers of the world: the same seed and the same
            triggers give the same executions and orders.
        key_type: The kind of client key that is generated, `p521` or `ed25519`.
        rate_limit: Requests per second and client id; None for no limit. Upvest's sandbox
            documents 300.
        rate_limit_kind: How they are counted: `fixed` by the clock's seconds, `sliding` over any
            second, `bucket` with an even refill.
        tell_rate_limit: Whether answers tell the limit in `RateLimit-Policy` (IETF draft
            draft-ietf-httpapi-ratelimit-headers). Upvest documents no such header; off for
            testing a client that has to find the limit by itself.
        token_lifetime: How long an access token is good, in seconds.
        order_seconds: How long (about) an order takes from NEW to its final status, in seconds;
            0 for orders that are final at once.
        moves_per_read: In place of the clock: how many orders of an execution take their next
            step before each read of its list. None to go by the clock.
        cancelled_share: The share of the orders that end CANCELLED, from 0 to 1.
        scopes: The scopes that the generated client may have.
        allocation_accounts: How many accounts an allocation stands for that was not registered.
        max_signature_lifetime: The most seconds that may lie between a signature's `created` and
            its `expires`.
        clock_tolerance: How far a signature's `created` may lie ahead, in seconds.
        clock_skew: How far the clock that signatures, tokens and the `date` header go by is ahead
            of the true one, in seconds; negative for behind.
        faults: What goes wrong from the start.
    """

    host: str = attrs.field(default="127.0.0.1", validator=_loopback)
    port: int = attrs.field(default=0, validator=whole(0, _HIGHEST_PORT, "a TCP port"))
    seed: int = attrs.field(default=0, validator=whole(-(2**63), 2**63 - 1, "a seed"))
    key_type: KeyType = attrs.field(default="p521", validator=one_of("p521", "ed25519"))
    rate_limit: int | None = attrs.field(
        default=300, validator=whole(1, None, "requests per second", optional=True)
    )
    rate_limit_kind: LimitKind = attrs.field(
        default="fixed", validator=one_of("fixed", "sliding", "bucket")
    )
    tell_rate_limit: bool = attrs.field(default=True, validator=flag)
    token_lifetime: int = attrs.field(default=1799, validator=whole(1, None, "seconds"))
    order_seconds: float = attrs.field(default=2.0, validator=real(0, None, "seconds"))
    moves_per_read: int | None = attrs.field(
        default=None, validator=whole(0, None, "orders per read", optional=True)
    )
    cancelled_share: float = attrs.field(default=0.1, validator=real(0, 1, "a share"))
    scopes: tuple[str, ...] = attrs.field(
        default=("portfolios:admin", "portfolios:read", "webhooks:read"), validator=_scopes
    )
    allocation_accounts: int = attrs.field(default=20, validator=whole(0, None, "accounts"))
    max_signature_lifetime: int = attrs.field(default=300, validator=whole(1, None, "seconds"))
    clock_tolerance: float = attrs.field(default=5.0, validator=real(0, None, "seconds"))
    clock_skew: float = attrs.field(default=0.0, validator=_skew)
    faults: tuple[Fault, ...] = attrs.field(default=(), converter=_as_tuple, validator=_faults)
