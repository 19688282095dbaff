"""The rate limit is told in every answer, unless it is to be found out."""

import aiohttp
import pytest

from upvest_rebalancing.sandbox import Sandbox, SandboxConfig


async def policy(sandbox: Sandbox) -> str | None:
    async with aiohttp.ClientSession() as session, session.get(f"{sandbox.url}/nowhere") as answer:
        return answer.headers.get("ratelimit-policy")


async def test_the_limit_is_told() -> None:
    async with Sandbox(rate_limit=120) as sandbox:
        assert await policy(sandbox) == '"default";q=120;w=1'


@pytest.mark.parametrize("limit", [120, None])
async def test_the_limit_is_not_told(limit: int | None) -> None:
    async with Sandbox(rate_limit=limit, tell_rate_limit=limit is None) as sandbox:
        assert await policy(sandbox) is None


def test_the_flag_is_checked() -> None:
    with pytest.raises(ValueError, match="tell_rate_limit"):
        SandboxConfig(tell_rate_limit="yes")  # type: ignore[arg-type]
