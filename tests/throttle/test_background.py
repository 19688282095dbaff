"""503s that have nothing to do with load: the client goes on at a useful pace."""

import random

import pytest

from upvest_rebalancing.protocol.pacing import Pacing


def sent(status: int, share: float, seconds: float = 60.0) -> int:
    """Count what passes in virtual time with answers that take 10 ms, without any limit."""
    pacing, chance, now, passed = Pacing(), random.Random(1), 0.0, 0
    while now < seconds:
        now += pacing.delay(now) + 0.002
        if pacing.delay(now):
            continue
        pacing.take(now)
        is_refused = chance.random() < share
        pacing.answered(now + 0.01, status if is_refused else 200, sent_at=now)
        passed += not is_refused
    return passed


@pytest.mark.parametrize(("share", "least"), [(0.001, 400), (0.01, 250), (0.05, 90), (0.1, 50)])
def test_a_few_503s_do_not_choke_a_client(share: float, least: float) -> None:
    assert sent(503, share) / 60 > least


def test_a_429_is_never_background() -> None:
    assert sent(429, 0.05) < sent(503, 0.05) / 4
