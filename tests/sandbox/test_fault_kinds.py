"""Every kind of fault over real sockets: the bytes that come, and what was done all the same."""

import asyncio
import gzip
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from tests.sandbox.conftest import EXECUTIONS, START, Api, Clock, accounts
from tests.sandbox.raw import RawApi, dechunked
from upvest_rebalancing.sandbox import Fault, FaultKind, Sandbox

MakeRaw = Callable[..., Awaitable[RawApi]]


@pytest.fixture
async def make_raw(clock: Clock) -> AsyncIterator[MakeRaw]:
    """Start a sandbox with some faults, and return raw calls with a token that came before."""
    async with AsyncExitStack() as stack:

        async def make(*faults: Fault, **settings: Any) -> RawApi:
            options = {"key_type": "ed25519", "order_seconds": 0, **settings}
            sandbox = await stack.enter_async_context(Sandbox(clock=clock, **options))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            api = RawApi(session, sandbox, clock)
            await api.log_in()
            for fault in faults:
                sandbox.inject(fault)
            return api

        yield make


async def trigger(api: Api, key: str | None = None) -> Any:
    return await api.trigger({"accounts": accounts(3)}, key)


def done(api: Api) -> tuple[int, Any]:
    counters = api.sandbox.counters()
    return counters.triggers, counters.requests.get("trigger")


@pytest.mark.parametrize("status", [400, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.ERROR_AFTER_WORK])
async def test_an_error_comes_in_place_of_the_answer(
    make_raw: MakeRaw, kind: FaultKind, status: int
) -> None:
    api = await make_raw(Fault(kind, route="trigger", count=1, value=status))
    key = str(uuid.uuid4())
    reply = await trigger(api, key)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert "retry-after" not in reply.headers
    document = reply.json()
    assert document["status"] == status
    assert document["request_id"] == reply.headers["upvest-request-id"]
    worked = kind is FaultKind.ERROR_AFTER_WORK
    assert done(api) == (int(worked), {status: 1})
    assert ("after the work" in document["detail"]) is worked
    assert (await trigger(api, key)).status == 200
    assert done(api) == (1, {status: 1, 200: 1})


async def test_an_error_can_have_any_retry_after(make_raw: MakeRaw, clock: Clock) -> None:
    api = await make_raw(
        Fault("error", value=429, retry_after="3", count=1),
        Fault("error", value=429, retry_after="soon, perhaps", count=1),
        Fault("error", retry_after="date", seconds=90, count=1),
        clock_skew=10,
    )
    headers = [(await trigger(api)).headers for _ in range(3)]
    assert [each["retry-after"] for each in headers] == [
        "3",
        "soon, perhaps",
        formatdate(clock.now + 100, usegmt=True),
    ]


async def test_a_proxy_answers_in_html_or_not_at_all(make_raw: MakeRaw) -> None:
    api = await make_raw(
        Fault("html-error", count=1),
        Fault("html-error", value=200, count=1),
        Fault("html-error", value=520, count=1),
        Fault("empty-error", count=1),
    )
    for status in (502, 200, 520):
        reply = await trigger(api)
        assert reply.status == status
        assert reply.headers["content-type"] == "text/html"
        assert reply.body.startswith(b"<html>")
        assert str(status).encode() in reply.body
    reply = await trigger(api)
    assert (reply.status, reply.body, reply.headers["content-length"]) == (502, b"", "0")
    assert "content-type" not in reply.headers
    assert done(api) == (0, {502: 2, 200: 1, 520: 1})


async def test_a_redirect_says_where_to(make_raw: MakeRaw) -> None:
    api = await make_raw(
        Fault("redirect", count=1), Fault("redirect", value=302, location="http://x/y", count=1)
    )
    first, second = await trigger(api), await trigger(api)
    assert (first.status, first.headers["location"], first.body) == (307, "/redirected", b"")
    assert (second.status, second.headers["location"]) == (302, "http://x/y")
    assert done(api)[0] == 0
    await api.send("POST", first.headers["location"], {})
    assert api.sandbox.counters().requests["unknown"] == {404: 1}


@pytest.mark.parametrize(
    ("kind", "error", "triggers"),
    [
        ("reset", ConnectionResetError, 0),
        ("reset-after-work", ConnectionResetError, 1),
        ("disconnect", EOFError, 0),
        ("disconnect-after-work", EOFError, 1),
    ],
)
async def test_a_connection_ends_without_an_answer(
    make_raw: MakeRaw, kind: str, error: type[Exception], triggers: int
) -> None:
    api = await make_raw(Fault(kind, count=1, route="trigger"))
    key = str(uuid.uuid4())
    with pytest.raises(error):
        await trigger(api, key)
    assert done(api) == (triggers, {kind: 1})
    assert (await trigger(api, key)).status == 200
    assert done(api) == (1, {kind: 1, 200: 1})
    assert api.sandbox.counters().answers == {200: 2, kind: 1}


async def counted(api: Api, word: str) -> None:
    async with asyncio.timeout(60):
        while word not in api.sandbox.counters().answers:
            await asyncio.sleep(0.001)


def requests_under_way() -> int:
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return names.count("RequestHandler._handle_request")


async def nothing_under_way() -> None:
    async with asyncio.timeout(60):
        while requests_under_way():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(("kind", "triggers"), [("hang", 0), ("hang-after-work", 1)])
async def test_a_hang_ends_when_the_client_leaves(
    make_raw: MakeRaw, kind: str, triggers: int
) -> None:
    api = await make_raw(Fault(kind, route="trigger"))
    waiting = asyncio.create_task(trigger(api))
    await counted(api, kind)
    assert done(api) == (triggers, {kind: 1})
    assert not waiting.done()
    assert requests_under_way() == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await nothing_under_way()
    assert done(api) == (triggers, {kind: 1})


@pytest.mark.parametrize(
    "fault",
    [
        Fault("hang"),
        Fault("hang-after-work"),
        Fault("slow", seconds=86_400),
        Fault("slow", seconds=86_400, value=1),
    ],
    ids=str,
)
async def test_what_takes_its_time_ends_when_the_sandbox_closes(
    clock: Clock, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    async with Sandbox(clock=clock) as sandbox, aiohttp.ClientSession() as session:
        api = RawApi(session, sandbox, clock)
        await api.log_in()
        sandbox.inject(fault)
        calls = [asyncio.create_task(trigger(api)) for _ in range(5)]
        async with asyncio.timeout(60):
            while sum(sandbox.counters().requests.get("trigger", {}).values()) < 5:
                await asyncio.sleep(0.001)
    # The sandbox waits for a second before it would end a request by force.
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert not requests_under_way()
    for outcome in outcomes:
        assert isinstance(outcome, EOFError) or outcome.body == b""  # type: ignore[union-attr]
    assert not caplog.records


async def test_a_client_goes_on_after_a_hang(api: Api) -> None:
    injected = api.sandbox.inject(Fault("hang", count=1))
    waiting = asyncio.create_task(trigger(api))
    await counted(api, "hang")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert injected.struck == 1
    assert (await trigger(api)).status == 200


@pytest.mark.parametrize("percent", [0, 50, 99])
async def test_a_truncated_answer_is_shorter_than_announced(
    make_raw: MakeRaw, percent: int
) -> None:
    api = await make_raw(Fault("truncated", route="trigger", count=1, value=percent))
    key = str(uuid.uuid4())
    reply = await trigger(api, key)
    whole = await trigger(api, key)
    assert reply.status == 200
    assert reply.headers["content-length"] == whole.headers["content-length"]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["upvest-request-id"]
    assert reply.body == whole.body[: len(whole.body) * percent // 100]
    assert done(api) == (1, {"truncated": 1, 200: 1})


@pytest.mark.parametrize("percent", [0, 50, 100])
async def test_a_chunked_answer_breaks_off(make_raw: MakeRaw, percent: int) -> None:
    api = await make_raw(Fault("truncated-chunks", route="trigger", count=1, value=percent))
    key = str(uuid.uuid4())
    reply = await trigger(api, key)
    whole = await trigger(api, key)
    assert reply.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in reply.headers
    part, ended = dechunked(reply.body)
    assert part == whole.body[: len(whole.body) * percent // 100]
    assert not ended
    assert done(api) == (1, {"truncated-chunks": 1, 200: 1})


async def test_before_http_1_1_there_are_no_chunks(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("truncated-chunks", route="trigger"))
    api.version = "1.0"
    reply = await trigger(api)
    assert "transfer-encoding" not in reply.headers
    assert b'{"id":' in reply.body


async def test_a_slow_answer_arrives_as_a_whole(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("slow", seconds=0.02, value=7, route="trigger"))
    reply = await trigger(api)
    assert reply.status == 200
    assert reply.headers["content-length"] == str(len(reply.body))
    assert set(reply.json()) == {"id"}
    assert done(api) == (1, {200: 1})


async def test_a_slow_answer_ends_when_the_client_leaves(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("slow", seconds=86_400))
    waiting = asyncio.create_task(trigger(api))
    async with asyncio.timeout(60):
        while not requests_under_way() or not done(api)[1]:
            await asyncio.sleep(0.001)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await nothing_under_way()
    assert done(api) == (1, {200: 1})


async def test_a_content_type_can_be_wrong(make_raw: MakeRaw) -> None:
    api = await make_raw(
        Fault("wrong-content-type", count=1),
        Fault("wrong-content-type", content_type="text/html; charset=utf-8", count=1),
    )
    for content_type in ("text/plain", "text/html; charset=utf-8"):
        reply = await trigger(api)
        assert reply.headers["content-type"] == content_type
        assert set(reply.json()) == {"id"}


@pytest.mark.parametrize("percent", [0, 50, 99])
async def test_json_can_be_cut(make_raw: MakeRaw, percent: int) -> None:
    api = await make_raw(Fault("cut-json", count=1, value=percent))
    key = str(uuid.uuid4())
    cut, whole = await trigger(api, key), await trigger(api, key)
    assert cut.status == 200
    assert cut.headers["content-type"] == "application/json"
    assert cut.headers["content-length"] == str(len(cut.body))
    assert cut.body == whole.body[: len(whole.body) * percent // 100]
    assert done(api) == (1, {200: 2})


async def test_an_answer_can_be_compressed(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("gzip", count=1))
    key = str(uuid.uuid4())
    packed, plain = await trigger(api, key), await trigger(api, key)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-length"] == str(len(packed.body))
    assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize("size", [1, 2**20 - 1, 2**20, 3 * 2**20 + 5])
async def test_a_bomb_is_small_and_valid(make_raw: MakeRaw, size: int) -> None:
    api = await make_raw(Fault("gzip-bomb", count=1, value=size))
    key = str(uuid.uuid4())
    bomb, plain = await trigger(api, key), await trigger(api, key)
    assert bomb.headers["content-encoding"] == "gzip"
    assert len(bomb.body) < 200 + size // 900
    assert gzip.decompress(bomb.body) == b" " * size + plain.body


async def test_any_client_takes_the_compressed_answers(api: Api) -> None:
    api.sandbox.inject(Fault("gzip", count=1))
    api.sandbox.inject(Fault("gzip-bomb", count=1, value=100_000))
    for size in (0, 100_000):
        reply = await trigger(api)
        assert set(reply.json()) == {"id"}
        assert reply.body.startswith(b" " * size + b"{")


async def read_all(api: Api) -> dict[str, Any]:
    """Read everything there is, and return it by its route."""
    api.token = None
    token = (await api.ask_token()).json()
    api.token = token["access_token"]
    execution_id = (await trigger(api)).json()["id"]
    return {
        "token": token,
        "execution": (await api.get(f"{EXECUTIONS}/{execution_id}")).json(),
        "orders": (await api.get(f"{EXECUTIONS}/{execution_id}/orders")).json(),
        "verify_keys": (await api.get("/auth/verify_keys")).json(),
    }


ALL_SCOPES = ("portfolios:admin", "webhooks:read")


def objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for entry in value for found in objects(entry)]
    if not isinstance(value, dict):
        return []
    inner = [
        found for name, entry in value.items() if name != "added_later" for found in objects(entry)
    ]
    return [value, *inner]


async def test_every_object_can_have_unknown_fields(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("unknown-fields"), scopes=ALL_SCOPES)
    answers = await read_all(api)
    found = objects(list(answers.values()))
    assert len(found) == 1 + 1 + (1 + 1 + 3) + (1 + 1)
    for each in found:
        assert isinstance(each["added_later"], dict)
        assert each["also_added_later"] == "text"
    assert answers["orders"]["meta"]["total_count"] == 3


async def test_what_is_optional_can_be_missing(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("missing-fields"), scopes=ALL_SCOPES, cancelled_share=1)
    answers = await read_all(api)
    assert set(answers["token"]) == {"access_token", "expires_in", "token_type"}
    assert set(answers["execution"]) == {"id", "created_at", "updated_at"}
    assert set(answers["orders"]["meta"]) == {"offset", "limit", "count", "total_count"}
    for row in answers["orders"]["data"]:
        needed = {"id", "created_at", "updated_at", "execution_id", "account_id", "status"}
        assert set(row) == needed
    assert set(answers["verify_keys"]["keys"][0]) == {"kty", "crv", "kid", "x", "y"}


async def test_a_value_can_be_unknown(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("unknown-enum", value=2), scopes=ALL_SCOPES, cancelled_share=0.5)
    execution_id = (await api.trigger({"accounts": accounts(200)})).json()["id"]
    target = f"{EXECUTIONS}/{execution_id}/orders?limit=1000"
    rows = (await api.get(target)).json()["data"]
    assert rows == (await api.get(target)).json()["data"]
    api.sandbox.clear_faults()
    known = {row["id"]: row for row in (await api.get(target)).json()["data"]}
    changed = [row for row in rows if row != known[row["id"]]]
    assert 60 < len(changed) < 140
    for row in changed:
        if known[row["id"]]["status"] == "FILLED":
            assert row["status"] == "SETTLED"
        else:
            assert (row["status"], row["cancellation_reason"]) == (
                "CANCELLED",
                "INVALID_ACCOUNT_STATUS",
            )
    keys = (await api.get("/auth/verify_keys")).json()["keys"]
    assert len(keys) == 1


async def test_any_status_can_become_any_other(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("unknown-enum", status="QUEUED", replaces="NEW"), order_seconds=1000)
    page = (await api.get(f"{EXECUTIONS}/{await api.triggered(3)}/orders")).json()
    assert [row["status"] for row in page["data"]] == ["QUEUED"] * 3


async def test_a_key_of_an_unknown_type_comes_first(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("unknown-enum"), scopes=ALL_SCOPES)
    first, second = (await api.get("/auth/verify_keys")).json()["keys"]
    assert first["kty"] not in {"EC", "OKP", "RSA", "oct"}
    assert second == api.sandbox.webhook_key.jwk()


@pytest.mark.parametrize(("seconds", "said"), [(0, 0), (0.5, 0), (90, 90)])
async def test_a_token_can_be_short_lived(
    make_raw: MakeRaw, clock: Clock, seconds: float, said: int
) -> None:
    api = await make_raw(Fault("short-token", count=1, seconds=seconds))
    assert (await api.ask_token({"client_secret": "wrong"})).status == 401
    reply = await api.ask_token()
    assert reply.json()["expires_in"] == said
    api.token = reply.json()["access_token"]
    if seconds:
        clock.now += seconds - 0.01
        assert (await trigger(api)).status == 200
        clock.now += 0.01
    assert "expired" in (await trigger(api)).problem(401, "unauthorized")
    assert (await api.ask_token()).json()["expires_in"] == 1799


async def test_tokens_can_be_revoked_again_and_again(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("revoke-tokens", every=3, route="trigger"))
    statuses = []
    for _ in range(10):
        reply = await trigger(api)
        statuses.append(reply.status)
        if reply.status == 401:
            assert "revoked" in reply.json()["detail"]
            await api.log_in()
    assert statuses == [200, 200, 401] * 3 + [200]


async def test_the_clock_can_be_off_and_jump(make_raw: MakeRaw, clock: Clock) -> None:
    api = await make_raw(order_seconds=10)
    execution_id = await api.triggered(1)
    for skew in (100, -100, 0.5):
        api.sandbox.set_clock_skew(skew)
        reply = await api.get(f"{EXECUTIONS}/{execution_id}")
        assert parsedate_to_datetime(reply.headers["date"]).timestamp() == int(START + skew)
        wrong = "expired" if skew > 0 else "not yet valid"
        if abs(skew) > 1:
            assert wrong in reply.problem(401, "unauthorized")
        skewed = await api.get(f"{EXECUTIONS}/{execution_id}/orders", created=int(START + skew))
        # The world and its orders go by the true time.
        assert skewed.json()["data"][0]["status"] == "NEW"
    api.sandbox.set_clock_skew(1799)
    reply = await trigger(api)
    assert "expired" in reply.problem(401, "unauthorized")
    reply = await api.get(f"{EXECUTIONS}/{execution_id}", created=int(START + 1799))
    assert "token expired" in reply.problem(401, "unauthorized")
    with pytest.raises(ValueError, match="clock_skew=nan"):
        api.sandbox.set_clock_skew(float("nan"))


async def test_the_clock_can_be_off_from_the_start(clock: Clock) -> None:
    async with (
        Sandbox(clock=clock, clock_skew=-3600) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        api = Api(session, sandbox, clock)
        reply = await api.ask_token()
        assert "not yet valid" in reply.problem(401, "unauthorized")
        reply = await api.ask_token(created=int(START - 3600))
        assert reply.status == 200


async def test_faults_compose(make_raw: MakeRaw) -> None:
    faults = [
        Fault("unknown-fields"),
        Fault("missing-fields", route="orders"),
        Fault("wrong-total", value=5),
        Fault("page-cap", value=1),
        Fault("slow", seconds=0.01, value=3),
        Fault("reset"),
    ]
    api = await make_raw(*faults)
    with pytest.raises(ConnectionResetError):
        await trigger(api)
    assert [each.struck for each in api.sandbox.faults] == [0, 0, 0, 0, 0, 1]
    api.sandbox.clear_faults()
    assert list(api.sandbox.faults) == []
    for fault in faults[:-1]:
        api.sandbox.inject(fault)
    page = (await api.get(f"{EXECUTIONS}/{await api.triggered(3)}/orders")).json()
    assert page["meta"]["total_count"] == 8
    assert len(page["data"]) == page["meta"]["count"] == 1
    assert "added_later" in page["data"][0]
    assert "sort" not in page["meta"]
    assert [each.struck for each in api.sandbox.faults] == [2, 1, 1, 1, 2]


async def test_a_refused_request_is_no_prey_for_what_comes_after_the_work(
    make_raw: MakeRaw,
) -> None:
    api = await make_raw(Fault("reset-after-work", count=1), Fault("short-token", count=1))
    (await api.trigger({"accounts": []})).problem(400, "bad_request")
    assert [each.seen for each in api.sandbox.faults] == [0, 0]
    assert done(api) == (0, {400: 1})


async def test_counts_are_exact_under_concurrency(make_raw: MakeRaw) -> None:
    api = await make_raw(
        Fault("error", count=7, every=2, route="trigger"),
        Fault("disconnect-after-work", count=5, route="trigger"),
        rate_limit=None,
    )

    async def call() -> int:
        try:
            reply = await trigger(api)
        except EOFError:
            return 0
        status: int = reply.status
        return status

    outcomes = await asyncio.gather(*(call() for _ in range(60)))
    assert (outcomes.count(503), outcomes.count(0), outcomes.count(200)) == (7, 5, 48)
    assert done(api) == (53, {503: 7, "disconnect-after-work": 5, 200: 48})


@pytest.mark.parametrize("seed", [1, 2])
async def test_chance_repeats(make_raw: MakeRaw, seed: int) -> None:
    runs = []
    for _ in range(2):
        api = await make_raw(Fault("error", probability=0.5, route="execution"), seed=seed)
        api.sandbox.inject(Fault("error", probability=0.5, route="trigger"))
        runs.append([(await trigger(api)).status for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


async def test_a_fault_strikes_only_its_route_and_method(make_raw: MakeRaw) -> None:
    api = await make_raw(Fault("error", route="execution"))
    execution_id = await api.triggered(1)
    assert (await api.get(f"{EXECUTIONS}/{execution_id}")).status == 503
    assert (await api.get(f"{EXECUTIONS}/{execution_id}/orders")).status == 200
    reply = await api.call("DELETE", f"{EXECUTIONS}/{execution_id}")
    reply.problem(405, "method_not_allowed")
    assert (await api.send("GET", "/nowhere", {})).status == 404


async def test_the_control_endpoints_are_never_struck(make_raw: MakeRaw) -> None:
    api = await make_raw(*(Fault(kind) for kind in FaultKind))
    for path in ("counters", "health", "faults"):
        assert (await api.send("GET", f"/_sandbox/{path}", {})).status == 200
    assert (await api.send("DELETE", "/_sandbox/faults", {})).json() == {"removed": len(FaultKind)}
    assert (await trigger(api)).status == 200
