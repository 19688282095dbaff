"""Read the limit that a server tells (draft-ietf-httpapi-ratelimit-headers-10)."""

from __future__ import annotations

import math
import re
from typing import Final

_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


def quota_per_second(policy: str) -> float:
    """Give the lowest quota per second; infinity where there is none.

    Args:
        policy: A ``RateLimit-Policy`` header, such as ``"default";q=300;w=1``. Quotas for other
            times than a second are passed over.
    """
    quotas = [math.inf]
    for member in policy.split(","):
        parameters = {
            name.strip(): value.strip()
            for name, _, value in (part.partition("=") for part in member.split(";")[1:])
        }
        quota = parameters.get("q", "")
        if parameters.get("w") == "1" and _COUNT.fullmatch(quota):
            quotas.append(int(quota))
    return min(quotas)
