"""A full run at DEBUG: no secret in anything that was logged, printed, raised or written."""

import asyncio
import base64
import logging
import traceback
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from upvest_rebalancing import errors
from upvest_rebalancing.cli.app import app
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.protocol import tokens
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.sandbox import Credentials, Fault, FaultKind, Sandbox
from upvest_rebalancing.signing import KeyWorker

FAULTS = (
    Fault(FaultKind.ERROR, route="trigger", value=401, count=5),
    Fault(FaultKind.ERROR, route="execution", value=400, count=3),
    Fault(FaultKind.HTML_ERROR, probability=0.05),
    Fault(FaultKind.RESET_AFTER_WORK, route="orders", probability=0.1),
    Fault(FaultKind.CUT_JSON, route="trigger", count=3, after=5),
    Fault(FaultKind.REDIRECT, route="trigger", count=2, after=20),
    Fault(FaultKind.TRUNCATED, probability=0.05),
    Fault(FaultKind.REVOKE_TOKENS, every=10),
)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every signature that is made and every token that comes, as they come."""
    found: set[str] = set()
    sign, structure = KeyWorker.sign, tokens.parse_token

    async def signing(self: KeyWorker, data: bytes) -> bytes:
        signature = await sign(self, data)
        found.add(base64.b64encode(signature).decode())
        return signature

    def parsing(*arguments: Any, **more: Any) -> tokens.Token:
        token = structure(*arguments, **more)
        found.add(token.access_token)
        return token

    monkeypatch.setattr(KeyWorker, "sign", signing)
    monkeypatch.setattr(tokens, "parse_token", parsing)
    return found


def all_of(credentials: Credentials, found: set[str]) -> set[str]:
    pem = credentials.private_key_pem.decode()
    lines = {line for line in pem.splitlines() if len(line) > 40 and "-" not in line}
    encoded = base64.b64encode(credentials.private_key_pem).decode()
    assert lines
    assert len(found) > 50
    return found | lines | {encoded, credentials.client_secret, credentials.passphrase.decode()}


def raised(error: BaseException | None) -> list[str]:
    shown: list[str] = []
    while error is not None:
        shown += [
            repr(error),
            repr(error.args),
            repr(vars(error)),
            *traceback.format_exception(error),
        ]
        error = error.__cause__ or error.__context__
    return shown


async def test_the_client(
    secrets: set[str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    shown: list[str] = []
    async with (
        Sandbox(rate_limit=None, order_seconds=0, faults=FAULTS) as sandbox,
        RebalancingClient.from_env(
            None,
            environ=sandbox.environment(),
            on_attempt=lambda event: shown.append(repr(event)),
            retry=RetryPolicy(max_attempts=4, base=0.001),
        ) as client,
    ):
        shown += [repr(client), repr(client.settings), repr(sandbox), repr(sandbox.credentials)]
        for _ in range(40):
            try:
                triggered = await client.trigger(accounts=[uuid4()])
                shown += [repr(triggered), repr(await client.execution(triggered.id))]
                shown += [repr(order) async for order in client.orders(triggered.id)]
                shown.append(repr(await client.wait(triggered.id, timeout=30)))
            except errors.RebalancingError as error:
                shown += raised(error)
        shown.append(repr(client._connection.sender))
        wanted = all_of(sandbox.credentials, secrets)
    out = capsys.readouterr()
    text = "\n".join([*shown, caplog.text, out.out, out.err])
    assert "Traceback" in text
    assert "upvest_rebalancing" in caplog.text
    assert not [secret for secret in wanted if secret in text]


async def test_the_command_line(
    secrets: set[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("account_id\n" + "".join(f"{uuid4()}\n" for _ in range(300)), "utf-8")
    async with Sandbox(rate_limit=None, order_seconds=0, faults=FAULTS) as sandbox:
        env_file = sandbox.write_env_file(tmp_path / "sandbox.env")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        commands = (
            ["-v", "run", str(accounts), "--batch-size", "10", "--output", "results.csv"],
            ["-v", "run", str(accounts), "--batch-size", "10", "--output", "results.jsonl"],
            ["-v", "check"],
        )
        text = ""
        for command in commands:
            words = [w if not w.startswith("results") else str(tmp_path / w) for w in command]
            arguments = [*words, "--env-file", str(env_file)]
            result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
            text += result.output + "\n".join(raised(result.exception))
        wanted = all_of(sandbox.credentials, secrets)
    written = [path for path in tmp_path.iterdir() if path not in before]
    assert written
    text += caplog.text + "\n".join(path.read_text("utf-8") for path in written)
    assert "attempt 1" in text
    assert not [secret for secret in wanted if secret in text]
