from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.support import Served, invoke
from upvest_rebalancing.cli.check import Verdict, clock_step
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import ScopeError, TokenError
from upvest_rebalancing.models import Authentication

Serve = Callable[..., Served]


def verdicts(document: dict[str, object]) -> dict[str, str]:
    steps = document["steps"]
    assert isinstance(steps, list)
    return {step["name"]: step["verdict"] for step in steps}


def advice(document: dict[str, object], name: str) -> str:
    steps = document["steps"]
    assert isinstance(steps, list)
    (found,) = (str(step["advice"]) for step in steps if step["name"] == name)
    return found


@pytest.mark.parametrize("key_type", ["ed25519", "p521"])
def test_a_set_up_that_works(serve: Serve, key_type: str) -> None:
    served = serve(key_type=key_type, token_lifetime=777)
    ended = invoke("check", *served.options)
    assert ended.status == 0, ended
    lines = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    assert [line.split()[1] for line in lines] == ["settings", "key", "token", "clock", "scopes"]
    # On a machine that is very busy, the clock's measure may earn a warning.
    assert {line[0] for line in lines[:3] + lines[4:]} == {"✓"}
    assert served.sandbox.url in lines[0]
    assert key_type in lines[1]
    assert "777 s" in lines[2]
    assert "portfolios:admin" in lines[4]
    assert served.answered("trigger") == 0


def test_a_set_up_that_works_as_json(serve: Serve) -> None:
    ended = invoke("check", "--json", *serve().options)
    assert ended.status == 0, ended
    assert ended.document["ok"] is True
    assert {verdict for name, verdict in verdicts(ended.document).items() if name != "clock"} == {
        "ok"
    }


def test_settings_that_are_missing_are_all_named() -> None:
    ended = invoke("check")
    assert ended.status == 2, ended
    first, second = (line for line in ended.out.splitlines() if line.startswith("✗"))
    assert "UPVEST_API_CLIENT_ID" in first
    assert "UPVEST_API_KEY_ID" in first
    assert "UPVEST_API_HTTP_SIGN_PRIVATE_KEY" in second
    assert sum(line.startswith("-") for line in ended.out.splitlines()) == 3
    assert "Set these variables" in ended.out


def test_a_key_that_does_not_load(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    monkeypatch.setenv("UPVEST_API_HTTP_SIGN_PRIVATE_KEY_PASSPHRASE", "not-the-passphrase")
    ended = invoke("check", "--json", *served.options)
    assert ended.status == 2, ended
    assert verdicts(ended.document) == {
        "settings": "ok",
        "key": "failed",
        "token": "skipped",
        "clock": "skipped",
        "scopes": "skipped",
    }
    assert "not-the-passphrase" not in ended.out + ended.err
    assert not served.sandbox.counters().answers


def test_settings_without_a_key_problem(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPVEST_API_CLIENT_ID", "nonsense")
    ended = invoke("check", "--json", *serve().options)
    assert ended.status == 2, ended
    assert verdicts(ended.document)["settings"] == "failed"
    assert verdicts(ended.document)["key"] == "ok"


@pytest.mark.parametrize("name", ["UPVEST_API_CLIENT_SECRET", "UPVEST_API_KEY_ID"])
def test_credentials_that_are_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "wrong-all-over")
    ended = invoke("check", "--json", *serve().options)
    assert ended.status == 2, ended
    assert verdicts(ended.document)["token"] == "failed"
    assert verdicts(ended.document)["scopes"] == "skipped"
    assert "UPVEST_API_CLIENT_SECRET" in advice(ended.document, "token")


def test_a_scope_that_is_not_granted(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(scopes=("portfolios:read",))
    ended = invoke("check", "--json", *served.options)
    assert ended.status == 2, ended
    assert verdicts(ended.document)["scopes"] == "failed"
    assert "portfolios:admin" in advice(ended.document, "scopes")
    monkeypatch.setenv("UPVEST_API_SCOPES", "portfolios:admin")
    ended = invoke("check", "--json", *served.options)
    assert ended.status == 2, ended


def test_an_empty_grant(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def authenticate(self: RebalancingClient) -> Authentication:
        raise ScopeError("none", missing=("portfolios:admin",))

    monkeypatch.setattr(RebalancingClient, "authenticate", authenticate)
    ended = invoke("check", "--json", *serve().options)
    assert ended.status == 2, ended
    assert verdicts(ended.document)["token"] == "ok"
    assert verdicts(ended.document)["scopes"] == "failed"
    assert "granted: none" in ended.out


def test_a_server_that_cannot_be_reached(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def authenticate(self: RebalancingClient) -> Authentication:
        raise TokenError("no access token: no connection")

    monkeypatch.setattr(RebalancingClient, "authenticate", authenticate)
    ended = invoke("check", *serve().options)
    assert ended.status == 1, ended
    assert "✗ token     no access token: no connection" in ended.out
    assert "reaches UPVEST_API_BASE_URL" in ended.out


def test_clocks_that_are_far_apart(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def authenticate(self: RebalancingClient) -> Authentication:
        return Authentication(scopes=("portfolios:admin",), lifetime=60, clock_skew=-3600.0)

    monkeypatch.setattr(RebalancingClient, "authenticate", authenticate)
    monkeypatch.setattr(RebalancingClient, "clock_skew", -3600.0)
    ended = invoke("check", *serve().options)
    assert ended.status == 0, ended
    assert "! clock     3600.0 s ahead of the server" in ended.out
    assert "time server" in ended.out


@pytest.mark.parametrize(
    ("skew", "verdict", "found"),
    [
        (None, Verdict.WARNING, "did not say"),
        (0.0, Verdict.OK, "0.0 s"),
        (1.9, Verdict.OK, "1.9 s behind"),
        (-1.9, Verdict.OK, "1.9 s ahead of"),
        (2.0, Verdict.WARNING, "2.0 s behind"),
        (-3600.0, Verdict.WARNING, "ahead of"),
    ],
)
def test_the_clock_is_judged_and_never_a_failure(
    skew: float | None, verdict: Verdict, found: str
) -> None:
    step = clock_step(skew)
    assert step.verdict is verdict
    assert found in step.found
    assert bool(step.advice) == (verdict is not Verdict.OK)


def test_the_clock_is_judged_after_a_refusal_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def authenticate(self: RebalancingClient) -> Authentication:
        raise TokenError("refused", status=401, detail="scope portfolios:x is unknown")

    monkeypatch.setattr(RebalancingClient, "authenticate", authenticate)
    monkeypatch.setattr(RebalancingClient, "clock_skew", 900.0)
    ended = invoke("check", "--json", *serve().options)
    assert ended.status == 2, ended
    assert verdicts(ended.document)["clock"] == "warning"
    assert "corrects its signatures" in advice(ended.document, "clock")
    assert "UPVEST_API_SCOPES" in advice(ended.document, "token")
