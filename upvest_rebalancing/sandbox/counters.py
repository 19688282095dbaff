"""What a sandbox has counted."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TypeAlias

import attrs

Status: TypeAlias = int | str
"""An HTTP status, or a word for a request that got no answer that has one."""


@attrs.frozen(kw_only=True)
class Counters:
    """A snapshot of what a sandbox has counted since its start or the last reset.

    Requests that faults struck are among it. An error that a fault answers counts under its
    status, and so does an answer that arrives as a whole, however distorted or slow. What gets no
    whole answer counts under the name of the fault's kind in place of a status: `reset`,
    `reset-after-work`, `disconnect`, `disconnect-after-work`, `hang`, `hang-after-work`,
    `truncated`, `truncated-chunks`. A client that hung up before its request was worked on counts
    under `left`.

    Attributes:
        triggers: Rebalancings that were really triggered, also where the answer got lost; a repeat
            with the same idempotency key is none.
        idempotency_keys: Distinct idempotency keys (per client id) of all triggers that arrived,
            refused or struck ones as well: more of them than triggers that were asked for tell of
            a client that changes its key between attempts.
        tokens: Access tokens issued.
        requests: For each route (`token`, `trigger`, `execution`, `orders`, `verify_keys`, and
            `unknown` for paths that do not exist), how many requests got which status.
        answers: How many requests got which status, over all routes.
    """

    triggers: int
    idempotency_keys: int
    tokens: int
    requests: Mapping[str, Mapping[Status, int]]
    answers: Mapping[Status, int]


class Tally:
    """Count what a sandbox does."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew from nothing."""
        self._triggers = 0
        self._tokens = 0
        self._keys: set[tuple[str, str]] = set()
        self._requests: defaultdict[str, Counter[Status]] = defaultdict(Counter)

    def triggered(self) -> None:
        """Count a rebalancing that was really triggered."""
        self._triggers += 1

    def token_issued(self) -> None:
        """Count an access token."""
        self._tokens += 1

    def key_seen(self, client_id: str, idempotency_key: str) -> None:
        """Count an idempotency key, once.

        Args:
            client_id: The client that sent it.
            idempotency_key: The key, in lower case and without hyphens, valid or not.
        """
        self._keys.add((client_id, idempotency_key))

    def answered(self, route: str, status: Status) -> None:
        """Count a request by its answer.

        Args:
            route: The route's name.
            status: The answer's HTTP status, or a word in its place.
        """
        self._requests[route][status] += 1

    def snapshot(self) -> Counters:
        """Return what has been counted so far."""
        answers: Counter[Status] = Counter()
        for statuses in self._requests.values():
            answers.update(statuses)
        return Counters(
            triggers=self._triggers,
            idempotency_keys=len(self._keys),
            tokens=self._tokens,
            requests={route: dict(statuses) for route, statuses in self._requests.items()},
            answers=dict(answers),
        )
