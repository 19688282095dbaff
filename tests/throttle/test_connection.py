"""What a client's options make of its throttle."""

from __future__ import annotations

from typing import Any

import pytest

from upvest_rebalancing.connection import Connection
from upvest_rebalancing.errors import ClientClosedError
from upvest_rebalancing.identity import LIVE_URL, SANDBOX_URL
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.sandbox.credentials import environment_of, make_credentials
from upvest_rebalancing.settings import Settings

CREDENTIALS = make_credentials("ed25519", ("portfolios:admin",))


def connection(base_url: str = SANDBOX_URL, **options: Any) -> Connection:
    environment = environment_of(CREDENTIALS, base_url)
    return Connection(Settings.from_env(None, environ=environment), **options)


@pytest.mark.parametrize(
    ("base_url", "options", "limit", "obeys"),
    [
        (SANDBOX_URL, {}, 298.0, True),
        (LIVE_URL, {}, None, True),
        ("http://127.0.0.1:8080", {}, None, True),
        (SANDBOX_URL, {"requests_per_second": 20}, 20, False),
        (SANDBOX_URL, {"requests_per_second": None}, None, False),
    ],
)
def test_the_limit_is_the_one_that_was_asked_for(
    base_url: str, options: dict[str, Any], limit: float | None, obeys: bool
) -> None:
    throttle = connection(base_url, **options).sender.throttle
    assert throttle.pacing.limit == limit
    assert throttle.obeys_policies is obeys


def test_pauses_are_bounded_by_the_retry_policy() -> None:
    retry = RetryPolicy(cap=3.0, retry_after_limit=7.0)
    policy = connection(retry=retry).sender.throttle.pacing.policy
    assert (policy.longest_hold, policy.longest_pause) == (3.0, 7.0)


async def test_it_opens_and_closes_with_its_client() -> None:
    client = connection(concurrency=3)
    throttle = client.sender.throttle
    assert throttle.concurrency == 3
    for _ in range(2):
        await client.open()
        await throttle.pace()
        await client.close()
        with pytest.raises(ClientClosedError):
            await throttle.pace()
