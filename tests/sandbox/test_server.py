import asyncio
import json
import socket
import uuid
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from dotenv import dotenv_values

from tests.sandbox.conftest import EXECUTIONS, Api, Clock, MakeApi, accounts
from upvest_rebalancing.sandbox import Counters, Credentials, Sandbox, SandboxConfig


async def test_a_token_comes_with_its_lifetime_and_is_not_to_be_stored(make_api: MakeApi) -> None:
    api = await make_api(token_lifetime=86_400)
    reply = await api.ask_token({"scope": "portfolios:read portfolios:admin"})
    assert reply.status == 200
    answer = reply.json()
    assert answer == {
        "access_token": answer["access_token"],
        "expires_in": 86_400,
        "token_type": "bearer",
        "scope": "portfolios:read portfolios:admin",
    }
    assert len(answer["access_token"]) > 30
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/json"
    assert "date" in reply.headers
    uuid.UUID(reply.headers["upvest-request-id"])


async def test_a_token_form_may_have_a_charset(make_api: MakeApi) -> None:
    api = await make_api()
    content_type = "application/x-www-form-urlencoded; charset=utf-8"
    reply = await api.ask_token(headers={"content-type": content_type})
    assert reply.status == 200


async def test_a_trigger_with_accounts_can_be_read_back(api: Api) -> None:
    ids = accounts(3)
    reply = await api.trigger({"accounts": [*ids, ids[0].upper()]})
    assert reply.status == 200
    execution_id = reply.json()["id"]
    assert reply.json() == {"id": str(uuid.UUID(execution_id))}
    reply = await api.get(f"{EXECUTIONS}/{execution_id}")
    assert reply.json() == {
        "id": execution_id,
        "created_at": "2023-11-14T22:13:20.00Z",
        "updated_at": "2023-11-14T22:13:20.00Z",
        "accounts": ids,
        "allocations": [],
    }
    assert (await api.get(f"{EXECUTIONS}/{execution_id.upper()}")).status == 200


async def test_a_trigger_with_allocations_has_orders_for_their_accounts(make_api: MakeApi) -> None:
    api = await make_api(allocation_accounts=7)
    await api.log_in()
    known, unknown = str(uuid.uuid4()), str(uuid.uuid4())
    api.sandbox.add_allocation(known.upper(), accounts(2))
    reply = await api.trigger({"allocations": [known, unknown]})
    execution_id = reply.json()["id"]
    execution = (await api.get(f"{EXECUTIONS}/{execution_id}")).json()
    assert execution["accounts"] == []
    assert execution["allocations"] == [known, unknown]
    page = (await api.get(f"{EXECUTIONS}/{execution_id}/orders")).json()
    assert page["meta"]["total_count"] == 9
    assert {row["account_id"] for row in page["data"]} >= set(accounts(2))


async def test_orders_go_through_their_statuses_and_are_sorted_by_them(
    make_api: MakeApi, clock: Clock
) -> None:
    api = await make_api(cancelled_share=0.5, order_seconds=10)
    await api.log_in()
    target = f"{EXECUTIONS}/{await api.triggered(60)}/orders"
    seen: list[set[str]] = []
    for seconds in (0, 3, 4, 20):
        clock.now += seconds
        page = (await api.get(f"{target}?sort=status&order=ASC&limit=1000")).json()
        assert page["meta"] == {
            "offset": 0,
            "limit": 1000,
            "count": 60,
            "total_count": 60,
            "sort": "status",
            "order": "ASC",
        }
        rows = page["data"]
        keys = [(row["status"], row["id"]) for row in rows]
        assert keys == sorted(keys)
        seen.append({row["status"] for row in rows})
        for row in rows:
            cancelled = row["status"] == "CANCELLED"
            assert ("cancellation_reason" in row) is cancelled
            assert ("cancellation_details" in row) is cancelled
    assert seen[0] == {"NEW"}
    assert {"NEW", "PROCESSING"} <= seen[1]
    assert seen[3] == {"FILLED", "CANCELLED"}


async def test_a_page_of_orders_is_cut_by_offset_and_limit(api: Api) -> None:
    target = f"{EXECUTIONS}/{await api.triggered(5)}/orders"
    everything = (await api.get(target)).json()["data"]
    page = (await api.get(f"{target}?offset=2&limit=2&unknown=1")).json()
    assert page["data"] == everything[2:4]
    assert page["meta"]["count"] == 2
    assert page["meta"]["offset"] == 2
    for query in ("offset=5", "offset=2147483647", "limit=0"):
        page = (await api.get(f"{target}?{query}")).json()
        assert page["data"] == []
        assert page["meta"]["total_count"] == 5
    assert (await api.get(target)).json()["meta"]["limit"] == 100


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("start_date=2023-11-14", 2),
        ("start_date=2023-11-15", 0),
        ("end_date=2023-11-14", 0),
        ("end_date=2023-11-15", 2),
        ("start_date=2023-11-14T22:13:20Z&end_date=2023-11-14T22:13:20.001Z", 2),
        ("end_date=2023-11-14T22:13:20Z", 0),
        ("start_date=2023-11-14T23:13:20%2B01:00", 2),
        ("start_date=2023-11-14T22:13:21Z", 0),
    ],
)
async def test_orders_are_cut_by_their_creation(api: Api, query: str, count: int) -> None:
    reply = await api.get(f"{EXECUTIONS}/{await api.triggered(2)}/orders?{query}")
    assert reply.json()["meta"]["count"] == count
    assert reply.json()["meta"]["total_count"] == count
    assert len(reply.json()["data"]) == count


async def test_times_are_written_in_three_forms(api: Api) -> None:
    reply = await api.get(f"{EXECUTIONS}/{await api.triggered(6)}/orders")
    forms = {row["created_at"].removeprefix("2023-11-14T22:13:20") for row in reply.json()["data"]}
    assert forms == {".00Z", ".000Z", "Z"}


async def test_statuses_change_while_a_list_is_read(make_api: MakeApi) -> None:
    api = await make_api(moves_per_read=3, cancelled_share=0)
    await api.log_in()
    target = f"{EXECUTIONS}/{await api.triggered(4)}/orders"
    counts = []
    for _ in range(5):
        rows = (await api.get(target)).json()["data"]
        statuses = [row["status"] for row in rows]
        counts.append([statuses.count(name) for name in ("NEW", "PROCESSING", "FILLED")])
    assert [sum(count) for count in counts] == [4] * 5
    assert counts[0] == [1, 3, 0]
    steps = [processing + 2 * filled for _, processing, filled in counts]
    assert steps == [3, 6, 8, 8, 8]


async def test_an_outcome_can_be_fixed(make_api: MakeApi) -> None:
    api = await make_api(order_seconds=0, cancelled_share=1)
    await api.log_in()
    filled, cancelled = accounts(2)
    api.sandbox.set_outcome(filled.upper(), "FILLED")
    api.sandbox.set_outcome(cancelled, "CANCELLED", "INVALID_ACCOUNT_TYPE")
    execution_id = await api.triggered(2)
    rows = (await api.get(f"{EXECUTIONS}/{execution_id}/orders")).json()["data"]
    by_account = {row["account_id"]: row for row in rows}
    assert by_account[filled]["status"] == "FILLED"
    assert by_account[filled]["portfolio_order_id"] is not None
    assert by_account[cancelled]["cancellation_reason"] == "INVALID_ACCOUNT_TYPE"
    assert by_account[cancelled]["cancellation_details"]
    assert by_account[cancelled]["portfolio_order_id"] is None


async def test_the_execution_is_updated_as_its_orders_move(api: Api, clock: Clock) -> None:
    target = f"{EXECUTIONS}/{await api.triggered(5)}"
    clock.now += 100
    execution = (await api.get(target)).json()
    assert execution["created_at"] < execution["updated_at"] < "2023-11-14T22:13:24"


async def test_verify_keys_publishes_the_webhook_key(make_api: MakeApi) -> None:
    api = await make_api(scopes=("webhooks:read", "portfolios:read"))
    await api.log_in("webhooks:read")
    (key,) = (await api.get("/auth/verify_keys")).json()["keys"]
    assert key == api.sandbox.webhook_key.jwk()
    assert (key["kty"], key["crv"], key["kid"]) == ("EC", "P-521", api.sandbox.webhook_key.key_id)
    assert len(key["x"]) == len(key["y"]) == 88


async def test_the_same_key_and_body_answers_the_first_answer(api: Api) -> None:
    key = str(uuid.uuid4())
    first = await api.trigger({"accounts": accounts(2)}, key)
    again = await api.trigger(b'{ "accounts" : ' + json.dumps(accounts(2)).encode() + b"}", key)
    other_form = await api.trigger({"accounts": accounts(2)}, key.replace("-", "").upper())
    assert first.status == again.status == other_form.status == 200
    assert first.json() == again.json() == other_form.json()
    assert first.headers["upvest-request-id"] != again.headers["upvest-request-id"]
    counters = api.sandbox.counters()
    assert (counters.triggers, counters.idempotency_keys) == (1, 1)


async def test_the_same_key_and_another_body_is_a_conflict(api: Api) -> None:
    key = str(uuid.uuid4())
    await api.trigger({"accounts": accounts(2)}, key)
    reply = await api.trigger({"accounts": accounts(3)}, key)
    assert "with another body" in reply.problem(409, "conflict")
    reply = await api.trigger({"allocations": accounts(2)}, key)
    reply.problem(409, "conflict")
    assert api.sandbox.counters().triggers == 1


async def test_the_same_key_after_a_failure_is_done_anew(api: Api) -> None:
    key = str(uuid.uuid4())
    (await api.trigger({"accounts": []}, key)).problem(400, "bad_request")
    assert (await api.trigger({"accounts": accounts(1)}, key)).status == 200


async def test_keys_and_executions_are_per_client(api: Api, make_api: MakeApi) -> None:
    key = str(uuid.uuid4())
    execution_id = (await api.trigger({"accounts": accounts(1)}, key)).json()["id"]
    other = Api(api.session, api.sandbox, api.clock)
    other.client_id, other.client_secret = str(uuid.uuid4()), "secret"
    scopes = api.sandbox.credentials.scopes
    api.sandbox.register_client(other.client_id, "secret", scopes)
    detail = (await other.ask_token()).problem(401, "unauthorized")
    assert f"is the key of the client {api.client_id}, but" in detail
    other.style = replace(other.style, key_id="other")
    public = api.sandbox.credentials.public_key_pem
    api.sandbox.register_key("other", public, other.client_id.upper())
    await other.log_in()
    assert (await other.trigger({"accounts": accounts(2)}, key)).json()["id"] != execution_id
    for target in (f"{EXECUTIONS}/{execution_id}", f"{EXECUTIONS}/{execution_id}/orders"):
        assert execution_id in (await other.get(target)).problem(404, "not_found")
    assert api.token is not None
    other.token = api.token
    detail = (await other.get(f"{EXECUTIONS}/{execution_id}")).problem(401, "unauthorized")
    assert api.client_id in detail


async def test_a_further_key_can_be_registered(make_api: MakeApi) -> None:
    api = await make_api()
    other = Sandbox(key_type="ed25519")
    api.sandbox.register_key("another", other.credentials.public_key_pem)
    stand_in = Api(api.session, other, api.clock)
    api.key, api.style = stand_in.key, api.style
    assert (await api.ask_token(key_id="another")).status == 200


async def test_an_ed25519_client_is_served(make_api: MakeApi) -> None:
    api = await make_api(key_type="ed25519")
    assert b"ENCRYPTED PRIVATE KEY" in api.sandbox.credentials.private_key_pem
    await api.log_in()
    await api.triggered(1)


async def test_what_happened_is_counted(api: Api) -> None:
    await api.triggered(1)
    await api.send("GET", "/nowhere", {})
    await api.send("DELETE", EXECUTIONS, {})
    assert api.sandbox.counters() == Counters(
        triggers=1,
        idempotency_keys=1,
        tokens=1,
        requests={"token": {200: 1}, "trigger": {200: 1, 405: 1}, "unknown": {404: 1}},
        answers={200: 2, 404: 1, 405: 1},
    )
    reply = await api.send("GET", "/_sandbox/counters", {})
    assert reply.json() == {
        "triggers": 1,
        "idempotency_keys": 1,
        "tokens": 1,
        "requests": {"token": {"200": 1}, "trigger": {"200": 1, "405": 1}, "unknown": {"404": 1}},
        "answers": {"200": 2, "404": 1, "405": 1},
    }
    assert (await api.send("POST", "/_sandbox/reset", {})).json() == {"status": "ok"}
    assert api.sandbox.counters() == Counters(
        triggers=0, idempotency_keys=0, tokens=0, requests={}, answers={}
    )


async def test_the_control_endpoints_have_methods_and_limits_too(make_api: MakeApi) -> None:
    api = await make_api(rate_limit=1)
    for _ in range(3):
        reply = await api.send("GET", "/_sandbox/health", {})
        assert reply.json() == {"status": "ok"}
    reply = await api.send("POST", "/_sandbox/health", {})
    assert "takes GET" in reply.problem(405, "method_not_allowed")
    assert reply.headers["allow"] == "GET"
    (await api.send("GET", "/_sandbox/nothing", {})).problem(404, "not_found")


@pytest.mark.parametrize("by_endpoint", [True, False])
async def test_tokens_can_be_revoked(api: Api, by_endpoint: bool) -> None:
    if by_endpoint:
        reply = await api.send("POST", "/_sandbox/tokens/revoke", {})
        assert reply.json() == {"revoked": 1}
    else:
        api.sandbox.revoke_tokens()
    reply = await api.get(f"{EXECUTIONS}/{uuid.uuid4()}")
    assert "revoked" in reply.problem(401, "unauthorized")
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    await api.log_in()
    await api.triggered(1)


async def test_the_env_file_names_the_key_file(make_api: MakeApi, tmp_path: Path) -> None:
    api = await make_api()
    credentials = api.sandbox.credentials
    folder = tmp_path / "it's a \\ folder # with $ in it"
    folder.mkdir()
    api.sandbox.write_env_file(folder / ".env")
    path = api.sandbox.write_env_file(folder / ".env")
    assert path == folder / ".env"
    assert sorted(entry.name for entry in folder.iterdir()) == [".env", "sandbox-.env.pem"]
    key_path = folder / "sandbox-.env.pem"
    assert key_path.read_bytes().endswith(b"\n" + credentials.private_key_pem)
    assert {file.stat().st_mode & 0o777 for file in (path, key_path)} == {0o600}
    assert dotenv_values(path) == {
        "UPVEST_API_BASE_URL": api.sandbox.url,
        "UPVEST_API_HTTP_SIGN_PRIVATE_KEY_FILENAME": str(key_path),
        "UPVEST_API_HTTP_SIGN_PRIVATE_KEY_PASSPHRASE": credentials.passphrase.decode(),
        "UPVEST_API_KEY_ID": credentials.key_id,
        "UPVEST_API_CLIENT_ID": credentials.client_id,
        "UPVEST_API_CLIENT_SECRET": credentials.client_secret,
        "UPVEST_API_SCOPES": "portfolios:admin,portfolios:read,webhooks:read",
    }
    environment = api.sandbox.environment()
    assert "UPVEST_API_HTTP_SIGN_PRIVATE_KEY_BASE64" in environment
    assert "UPVEST_API_HTTP_SIGN_PRIVATE_KEY_FILENAME" not in environment


async def test_a_path_that_an_env_file_cannot_carry_is_refused(
    make_api: MakeApi, tmp_path: Path
) -> None:
    api = await make_api()
    folder = tmp_path / "${HOME}"
    folder.mkdir()
    with pytest.raises(ValueError, match="line breaks"):
        api.sandbox.write_env_file(folder / ".env")
    assert list(folder.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        api.sandbox.write_env_file(tmp_path / "nowhere" / ".env")


def test_credentials_do_not_show_their_secrets() -> None:
    credentials = Sandbox().credentials
    assert isinstance(credentials, Credentials)
    shown = repr(credentials)
    assert credentials.client_id in shown
    for secret in (credentials.client_secret, credentials.passphrase.decode(), "PRIVATE"):
        assert secret not in shown
    assert b"Proc-Type: 4,ENCRYPTED" in credentials.private_key_pem
    assert credentials.client_secret != Sandbox().credentials.client_secret


async def test_it_can_be_closed_twice_and_started_again(clock: Clock) -> None:
    sandbox = Sandbox(clock=clock)
    with pytest.raises(RuntimeError, match="not started"):
        assert sandbox.url
    await sandbox.start()
    with pytest.raises(RuntimeError, match="started already"):
        await sandbox.start()
    port = int(sandbox.url.rpartition(":")[2])
    await sandbox.close()
    await sandbox.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    await sandbox.start()
    async with aiohttp.ClientSession() as session, session.get(sandbox.url) as response:
        assert response.status == 404
    await sandbox.close()


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        second = Sandbox(SandboxConfig(port=port))
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        await second.close()


@pytest.mark.parametrize(("host", "shown"), [("localhost", "localhost"), ("::1", "[::1]")])
async def test_other_loopback_hosts_work(host: str, shown: str) -> None:
    async with Sandbox(host=host) as sandbox:
        assert sandbox.url.startswith(f"http://{shown}:")
        assert sandbox.config.host == host
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{sandbox.url}/_sandbox/health") as response,
        ):
            assert response.status == 200


async def test_closing_does_not_wait_for_idle_connections(clock: Clock) -> None:
    async with aiohttp.ClientSession() as session:
        async with Sandbox(clock=clock) as sandbox:
            async with session.get(sandbox.url) as response:
                await response.read()
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 30
    assert len(asyncio.all_tasks()) == 1
