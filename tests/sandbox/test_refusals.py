import asyncio
import io
import json
import urllib.parse
import uuid
from typing import Any

import pytest

from tests.sandbox.conftest import EXECUTIONS, Api, Clock, MakeApi, accounts

ACCOUNTS = {"accounts": accounts(2)}


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/nowhere",
        "/auth/token/",
        "/auth%2Ftoken",
        "/portfolios/rebalancings/executions/",
        "/portfolios/rebalancings/executions/a/b",
        "/portfolios/rebalancings/executions/a/orders/",
        "//portfolios/rebalancings/executions",
        "/%0A",
        "/_sandbox",
    ],
)
async def test_an_unknown_path_is_not_found(make_api: MakeApi, target: str) -> None:
    api = await make_api()
    detail = (await api.send("GET", target, {})).problem(404, "not_found")
    assert target in detail


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("GET", "/auth/token", "POST"),
        ("POST", "/auth/verify_keys", "GET"),
        ("GET", EXECUTIONS, "POST"),
        ("DELETE", f"{EXECUTIONS}/x", "GET"),
        ("POST", f"{EXECUTIONS}/x/orders", "GET"),
        ("OPTIONS", f"{EXECUTIONS}/x/orders", "GET"),
    ],
)
async def test_another_method_is_not_allowed(
    make_api: MakeApi, method: str, target: str, allow: str
) -> None:
    api = await make_api()
    reply = await api.send(method, target, {})
    assert reply.problem(405, "method_not_allowed") == f"{target} takes {allow}, not {method}"
    assert reply.headers["allow"] == allow


async def test_a_client_that_is_too_fast_is_throttled(make_api: MakeApi, clock: Clock) -> None:
    api = await make_api(rate_limit=3)
    mine = {"upvest-client-id": api.client_id}
    statuses = [(await api.send("POST", "/auth/token", mine)).status for _ in range(3)]
    assert statuses == [406] * 3
    reply = await api.send("POST", "/auth/token", {"upvest-client-id": api.client_id.upper()})
    assert "rate limit" in reply.problem(429, "too_many_requests")
    assert "retry-after" not in reply.headers
    assert (await api.send("GET", "/nowhere", mine)).status == 404
    assert (await api.send("POST", "/auth/token", {})).status == 406
    clock.now += 1
    assert (await api.send("POST", "/auth/token", mine)).status == 406


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/*", "application/json, */*", "application/pdf"]
)
async def test_only_json_is_acceptable(api: Api, accept: str | None) -> None:
    reply = await api.get(f"{EXECUTIONS}/{uuid.uuid4()}", headers={"accept": accept})
    detail = reply.problem(406, "not_acceptable")
    assert "'application/json'" in detail
    assert ("missing" if accept is None else accept) in detail


async def test_a_client_id_is_needed(api: Api) -> None:
    reply = await api.get(f"{EXECUTIONS}/x", headers={"upvest-client-id": None})
    assert "upvest-client-id is missing" in reply.problem(400, "missing_client_id")
    reply = await api.get(f"{EXECUTIONS}/x", headers={"upvest-client-id": "me"})
    assert "'me'" in reply.problem(400, "bad_request")


@pytest.mark.parametrize("version", ["2", '"1"', "1.0", ""])
async def test_there_is_one_api_version(api: Api, version: str) -> None:
    reply = await api.get(f"{EXECUTIONS}/x", headers={"upvest-api-version": version})
    assert repr(version) in reply.problem(400, "bad_request")


async def test_the_api_version_may_be_left_out(api: Api) -> None:
    headers: dict[str, str | None] = {"upvest-api-version": None}
    assert (await api.trigger(ACCOUNTS, headers=headers)).status == 200


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (None, "authorization is missing"),
        ("Basic abc", "form Bearer"),
        ("bearer abc", "form Bearer"),
        ("Bearer a b", "form Bearer"),
        ("Bearer abc", "is unknown"),
    ],
)
async def test_a_token_is_needed(api: Api, authorization: str | None, words: str) -> None:
    reply = await api.get(f"{EXECUTIONS}/x", headers={"authorization": authorization})
    assert words in reply.problem(401, "unauthorized")
    assert reply.headers["www-authenticate"].startswith("Bearer realm=")


async def test_a_token_expires(make_api: MakeApi, clock: Clock) -> None:
    api = await make_api(token_lifetime=60)
    await api.log_in()
    clock.now += 59.5
    assert (await api.trigger(ACCOUNTS)).status == 200
    clock.now += 0.75
    reply = await api.trigger(ACCOUNTS)
    assert "expired 0.250 s ago" in reply.problem(401, "unauthorized")
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    clock.now += 4000
    await api.log_in()
    assert (await api.trigger(ACCOUNTS)).status == 200


@pytest.mark.parametrize(
    ("scope", "method", "target", "needed"),
    [
        ("portfolios:read", "POST", EXECUTIONS, "portfolios:admin"),
        ("portfolios:read", "GET", "/auth/verify_keys", "webhooks:admin or webhooks:read"),
        ("webhooks:read", "GET", f"{EXECUTIONS}/x", "portfolios:admin or portfolios:read"),
        ("webhooks:read", "GET", f"{EXECUTIONS}/x/orders", "portfolios:admin or portfolios:read"),
    ],
)
async def test_a_scope_is_needed(
    make_api: MakeApi, scope: str, method: str, target: str, needed: str
) -> None:
    api = await make_api(scopes=("portfolios:read", "webhooks:read"))
    await api.log_in(scope)
    reply = await api.call(method, target)
    detail = reply.problem(403, "forbidden")
    assert f"needs {needed}" in detail
    assert scope in detail


@pytest.mark.parametrize(
    ("form", "type_", "words"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type", "'password'"),
        ({"grant_type": ""}, "bad_request", "grant_type is empty"),
        ({"client_id": ""}, "bad_request", "client_id is empty"),
        ({"client_secret": ""}, "bad_request", "client_secret is empty"),
        ({"scope": ""}, "bad_request", "scope is empty"),
        ({"scope": " "}, "bad_request", "scope is empty"),
        ("grant_type=client_credentials", "bad_request", "client_id is missing"),
        ("scope=a&scope=b", "bad_request", "scope more than once"),
        ("client_secret", "bad_request", "not a form"),
        ("client_secret=%FF", "bad_request", "not a form"),
        ("client_secret=ä", "bad_request", "not a form"),
    ],
)
async def test_a_token_form_has_to_be_whole(
    make_api: MakeApi, form: dict[str, str] | str, type_: str, words: str
) -> None:
    api = await make_api()
    assert words in (await api.ask_token(form)).problem(400, type_)


async def test_a_token_needs_a_form(make_api: MakeApi) -> None:
    api = await make_api()
    reply = await api.ask_token(headers={"content-type": "application/json"})
    assert "x-www-form-urlencoded" in reply.problem(400, "bad_request")
    reply = await api.call("POST", "/auth/token")
    assert "content-type None" in reply.problem(400, "bad_request")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"client_secret": "wrong"}, "client_secret is wrong"),
        ({"client_id": str(uuid.UUID(int=1))}, "not that of upvest-client-id"),
        ({"scope": "portfolios:read users:admin"}, "may not have the scope users:admin"),
    ],
)
async def test_a_client_has_to_be_known(
    make_api: MakeApi, form: dict[str, str], words: str
) -> None:
    api = await make_api()
    reply = await api.ask_token(form)
    assert words in reply.problem(401, "unauthorized")
    assert api.client_secret.encode() not in reply.body


async def test_an_unknown_client_gets_no_token(make_api: MakeApi) -> None:
    api = await make_api()
    api.client_id = str(uuid.uuid4())
    credentials = api.sandbox.credentials
    api.sandbox.register_key(credentials.key_id, credentials.public_key_pem, api.client_id)
    assert "unknown" in (await api.ask_token()).problem(401, "unauthorized")


async def test_an_idempotency_key_is_needed(api: Api) -> None:
    reply = await api.trigger(ACCOUNTS, headers={"idempotency-key": None})
    assert "is missing" in reply.problem(400, "missing_idempotency_key")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("0190163d-8694-739b-aea5-966c26f8ad91", "UUIDv7"),
        ("not a uuid", "is no UUID"),
        ("ccb07f42-4104-44ad-1e1f-c660bb7b269c", "fourth group"),
    ],
)
async def test_an_idempotency_key_is_a_uuid_of_the_pattern(api: Api, key: str, words: str) -> None:
    assert words in (await api.trigger(ACCOUNTS, key)).problem(400, "bad_request")
    assert api.sandbox.counters().idempotency_keys == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "not an array"),
        (7, "not a number"),
        ({}, "it has neither"),
        ({"accounts": accounts(1), "allocations": accounts(1)}, "it has both"),
        ({"accounts": accounts(1), "notes": 1}, "unknown members: notes"),
        ({"accounts": []}, "must not be empty"),
        ({"allocations": "x"}, "not a string"),
        ({"accounts": None}, "not null"),
        ({"accounts": {}}, "not an object"),
        ({"accounts": [accounts(1)[0], "x"]}, "accounts[1] must be a UUID with hyphens, not 'x'"),
        ({"allocations": [True]}, "allocations[0] must be a UUID with hyphens, not a boolean"),
        ({"accounts": [accounts(1)[0].replace("-", "")]}, "accounts[0] must be a UUID"),
    ],
)
async def test_a_trigger_has_accounts_or_allocations(api: Api, body: Any, words: str) -> None:
    assert words in (await api.trigger(body)).problem(400, "bad_request")
    assert api.sandbox.counters().triggers == 0


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "text/plain", "Application/Json"]
)
async def test_a_trigger_is_plain_json(api: Api, content_type: str) -> None:
    reply = await api.trigger(ACCOUNTS, headers={"content-type": content_type})
    assert "without a charset" in reply.problem(400, "bad_request")


async def test_a_trigger_needs_a_body(api: Api) -> None:
    reply = await api.call("POST", EXECUTIONS, headers={"idempotency-key": str(uuid.uuid4())})
    assert "content-type None" in reply.problem(400, "bad_request")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sort=id", "sort='id'"),
        ("order=DESC", "order='DESC'"),
        ("order=asc", "order='asc'"),
        ("offset=-1", "offset='-1'"),
        ("offset=2147483648", "from 0 to 2147483647"),
        ("offset=", "offset=''"),
        ("limit=1001", "from 0 to 1000"),
        ("limit=ten", "limit='ten'"),
        ("limit=%D9%A1", "limit="),
        ("limit=1&limit=1", "limit is given more than once"),
        ("start_date=14.10.2022", "start_date="),
        ("start_date=2022-02-30", "start_date="),
        ("end_date=2022-10-14T00:00:00", "end_date="),
        ("end_date=2022-10-14T25:00:00Z", "end_date="),
        ("end_date=9999-12-31T23:59:59.999999999Z", "end_date="),
        ("end_date=2022-10-14T00:00:00+00:00", "write it as %2B"),
    ],
)
async def test_bad_parameters_are_named(api: Api, query: str, words: str) -> None:
    reply = await api.get(f"{EXECUTIONS}/{uuid.uuid4()}/orders?{query}")
    detail = reply.problem(400, "bad_request")
    assert words in detail
    assert query.partition("=")[0] in detail


@pytest.mark.parametrize("suffix", ["", "/orders"])
async def test_an_unknown_execution_is_not_found(api: Api, suffix: str) -> None:
    unknown = str(uuid.uuid4())
    reply = await api.get(f"{EXECUTIONS}/{unknown}{suffix}")
    assert unknown in reply.problem(404, "not_found")
    reply = await api.get(f"{EXECUTIONS}/not%20one{suffix}")
    detail = reply.problem(404, "not_found")
    assert "'not one'" in detail
    assert "is a UUID" in detail


async def test_a_wrong_signature_is_explained(api: Api) -> None:
    reply = await api.get(f"{EXECUTIONS}/x/orders?limit=1", values={"@query": "limit=1"})
    detail = reply.problem(401, "unauthorized")
    assert detail.startswith("Signature is incorrect: @query lacks its leading ?")
    assert '\nexpected: "@query": ?limit=1\nsigned:   "@query": limit=1' in detail
    assert "www-authenticate" not in reply.headers


async def test_another_body_than_the_signed_one_is_refused(api: Api) -> None:
    body = json.dumps(ACCOUNTS).encode()
    other = body.replace(b"1", b"2")
    reply = await api.trigger(body, sent_body=other)
    detail = reply.problem(401, "unauthorized")
    assert "content-digest is not the digest of the body" in detail
    assert detail.count("sha-512=:") == 2


async def test_another_path_than_the_signed_one_is_refused(api: Api) -> None:
    execution_id = await api.triggered(1)
    reply = await api.get(f"{EXECUTIONS}/x", sent_target=f"{EXECUTIONS}/{execution_id}")
    detail = reply.problem(401, "unauthorized")
    assert f'"@path": {EXECUTIONS}/{execution_id}' in detail
    assert '"authorization": Bearer …' in detail
    assert api.token is not None
    assert api.token not in detail


async def test_a_nonce_is_used_once(api: Api, clock: Clock) -> None:
    target = f"{EXECUTIONS}/{await api.triggered(1)}"
    assert (await api.get(target, nonce="once")).status == 200
    reply = await api.get(target, nonce="once")
    assert "'once' was used before" in reply.problem(401, "unauthorized")
    clock.now += 31
    assert (await api.get(target, nonce="once")).status == 200


async def test_a_chunked_body_lacks_its_length(api: Api) -> None:
    async def chunks() -> Any:
        yield json.dumps(ACCOUNTS).encode()

    headers: dict[str, str | None] = {
        "content-length": None,
        "idempotency-key": str(uuid.uuid4()),
    }
    body = json.dumps(ACCOUNTS).encode()
    reply = await api.call("POST", EXECUTIONS, body, headers=headers, sent_body=chunks())
    detail = reply.problem(401, "unauthorized")
    assert 'does not cover "content-length"' in detail
    assert "has to carry the header content-length" in detail


async def test_a_body_can_be_large_and_not_too_large(make_api: MakeApi) -> None:
    api = await make_api()
    large = b"x" * (2**26)
    reply = await api.send("POST", EXECUTIONS, {}, io.BytesIO(large))
    reply.problem(406, "not_acceptable")
    reply = await api.send("POST", EXECUTIONS, {}, io.BytesIO(large + b"x"))
    detail = reply.problem(413, "payload_too_large")
    assert str(2**26) in detail


async def test_a_compressed_body_is_taken_as_its_bytes(api: Api) -> None:
    headers = {"content-encoding": "gzip"}
    assert "not JSON" in (await api.trigger(b"\x1f\x8b", headers=headers)).problem(
        400, "bad_request"
    )


async def raw(api: Api, request: bytes) -> bytes:
    parts = urllib.parse.urlsplit(api.sandbox.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_target_without_a_path_is_not_found(make_api: MakeApi) -> None:
    api = await make_api()
    answer = await raw(api, b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in answer


async def test_a_target_in_absolute_form_is_understood(make_api: MakeApi) -> None:
    api = await make_api()
    request = b"GET http://x/_sandbox/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert b'{"status":"ok"}' in await raw(api, request)


async def test_a_client_that_leaves_within_its_body_is_no_error(
    make_api: MakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api = await make_api()
    parts = urllib.parse.urlsplit(api.sandbox.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"POST /auth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
    await writer.drain()
    # An answer to another connection shows that the server has begun with the first.
    await api.send("GET", "/_sandbox/health", {})
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(60):
        while not api.sandbox.counters().answers:
            await asyncio.sleep(0.01)
    assert api.sandbox.counters().requests == {"token": {"left": 1}}
    assert caplog.text == ""


async def test_a_mistake_of_the_sandbox_is_a_problem_too(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api = await make_api()
    monkeypatch.setattr(api.sandbox._service, "answer", None)
    detail = (await api.send("GET", "/", {})).problem(500, "internal_server_error")
    assert "mistake of its own" in detail
    assert "could not be answered" in caplog.text
