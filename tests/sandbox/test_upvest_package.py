"""Upvest's own package, driven by nothing but the env file."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from upvest_investment_api import HttpSignatureSettings, UpvestRequestsAuth

from tests.sandbox.conftest import EXECUTIONS, accounts
from upvest_rebalancing.sandbox import Sandbox

NAMES = (
    "BASE_URL",
    "HTTP_SIGN_PRIVATE_KEY",
    "HTTP_SIGN_PRIVATE_KEY_FILENAME",
    "HTTP_SIGN_PRIVATE_KEY_BASE64",
    "HTTP_SIGN_PRIVATE_KEY_PASSPHRASE",
    "KEY_ID",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "SCOPES",
)


def calls(env_file: Path) -> list[tuple[int, Any]]:
    settings = HttpSignatureSettings(env_file=str(env_file))
    auth = UpvestRequestsAuth(
        private_key_pem=settings.HTTP_SIGN_PRIVATE_KEY,
        private_key_passphrase=settings.HTTP_SIGN_PRIVATE_KEY_PASSPHRASE,
        key_id=settings.KEY_ID,
        client_id=settings.CLIENT_ID,
        client_secret=settings.CLIENT_SECRET,
        scopes=settings.SCOPES,
    )
    base = f"{settings.BASE_URL}{EXECUTIONS}"
    with requests.Session() as session:
        key = auth.with_idempotency_key(str(uuid.uuid4()))
        body = {"accounts": accounts(12)}
        replies = [session.post(base, json=body, auth=key, timeout=60) for _ in range(2)]
        execution = f"{base}/{replies[0].json()['id']}"
        query = {"limit": "5", "start_date": "2020-01-01T00:00:00+00:00", "note": "a b/c"}
        replies += [
            session.get(execution, auth=auth, timeout=60),
            session.get(f"{execution}/orders", params=query, auth=auth, timeout=60),
        ]
        return [(reply.status_code, reply.json()) for reply in replies]


async def test_upvests_own_package_works_from_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        # Set first, so that what the package puts into the environment is undone as well.
        monkeypatch.setenv(f"UPVEST_API_{name}", "")
        monkeypatch.delenv(f"UPVEST_API_{name}")
    async with Sandbox() as sandbox:
        answers = await asyncio.to_thread(calls, sandbox.write_env_file(tmp_path / ".env"))
        counters = sandbox.counters()
    assert [status for status, _ in answers] == [200] * 4
    first, again, execution, page = (answer for _, answer in answers)
    assert first == again
    assert execution["id"] == first["id"]
    assert execution["accounts"] == accounts(12)
    assert page["meta"]["total_count"] == 12
    assert len(page["data"]) == 5
    assert (counters.triggers, counters.idempotency_keys, counters.tokens) == (1, 1, 1)
