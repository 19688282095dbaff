"""What becomes of an order: a pure function of the seed and the account."""

import hashlib
import struct
from typing import Final, Literal

import attrs

Outcome = Literal["FILLED", "CANCELLED"]

# The reasons of the specification, each with the words that go with it.
CANCELLATIONS: Final[dict[str, str]] = {
    "ACCOUNT_IS_EMPTY": "The account holds neither positions nor cash.",
    "ACCOUNT_NOT_FOUND": "There is no such account.",
    "CANCELLED_BY_CLIENT": "The order was cancelled by the client.",
    "CANCELLED_BY_UPVEST": "The order was cancelled by Upvest.",
    "CONFIGURATION_IS_MISSING": "The account has no portfolio allocation.",
    "INVALID_ACCOUNT_TYPE": "The account is not of a type that can be rebalanced.",
    "PORTFOLIO_IS_BALANCED": "Portfolio is balanced, no need to rebalance.",
    "UNKNOWN": "The order was cancelled for an unknown reason.",
}
_REASONS: Final = tuple(CANCELLATIONS)
_WHOLE: Final = 2**64
# An order that is stopped by hand, or by something unforeseen, was being worked on already; the
# other reasons are found out before a portfolio order is made.
_OUT_OF_PROCESSING: Final = frozenset({"CANCELLED_BY_CLIENT", "CANCELLED_BY_UPVEST", "UNKNOWN"})


@attrs.frozen
class Fate:
    """What becomes of an order, and when.

    Attributes:
        reason: Why it is cancelled; None for an order that is filled.
        processing_at: When it leaves NEW for PROCESSING, as a fraction of the time that an order
            takes; None for one that is cancelled out of NEW.
        final_at: When it reaches its final status, as such a fraction.
    """

    reason: str | None
    processing_at: float | None
    final_at: float


def fate_of(
    seed: int,
    account_id: str,
    *,
    cancelled_share: float,
    fixed: tuple[Outcome, str | None] | None = None,
) -> Fate:
    """Return what becomes of an account's orders.

    Args:
        seed: The world's seed.
        account_id: The account, in lower case.
        cancelled_share: The share of orders that are cancelled, from 0 to 1.
        fixed: An outcome, with its reason if it is CANCELLED, in place of the seed's decision.
    """
    digest = hashlib.blake2b(f"{seed}/fate/{account_id}".encode(), digest_size=32).digest()
    cancelled, which, first, last = struct.unpack(">4Q", digest)
    reason = None
    if cancelled / _WHOLE < cancelled_share:
        reason = _REASONS[which % len(_REASONS)]
    if fixed is not None:
        reason = fixed[1] if fixed[0] == "CANCELLED" else None
    processing_at = 0.1 + 0.4 * first / _WHOLE
    if reason is not None and reason not in _OUT_OF_PROCESSING:
        return Fate(reason=reason, processing_at=None, final_at=processing_at)
    return Fate(reason=reason, processing_at=processing_at, final_at=0.75 + 0.5 * last / _WHOLE)


def identifier(seed: int, *names: str) -> str:
    """Return a UUID (of version 4's form) that stands for something in a seed's world.

    Args:
        seed: The world's seed.
        names: What it identifies.
    """
    text = "/".join((str(seed), *names))
    digits = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
