"""Where a call, a client or a server leaves the path: what is known stays known."""

import asyncio
import contextlib
import netrc
import socket
import traceback
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from tests.stub import (
    ACCOUNT,
    CLIENT_ID,
    CLOSE,
    EXECUTION,
    EXECUTION_JSON,
    HANG,
    PEM,
    TRIGGERED,
    Reply,
    Seen,
    Stub,
    answer,
    token,
)
from upvest_rebalancing import errors
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import AttemptOutcome
from upvest_rebalancing.events import AttemptEvent, AttemptStarted
from upvest_rebalancing.protocol.keys import load_private_key
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.settings import Settings

REFUSED = answer(b"", 503)


async def test_closing_in_mid_call_keeps_the_key_and_says_that_the_outcome_is_unknown() -> None:
    async with Stub([CLOSE]) as stub:
        async with stub.client(jitter=lambda _: 30.0) as client:
            slept = asyncio.Event()

            async def sleep(seconds: float) -> None:
                slept.set()
                await closed.wait()

            closed = asyncio.Event()
            client._connection.sender.sleep = sleep
            task = asyncio.create_task(client.trigger(accounts=[ACCOUNT]))
            await slept.wait()
        closed.set()
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await task
    assert caught.value.may_have_been_executed
    assert caught.value.idempotency_key == stub.seen[0].headers["idempotency-key"]
    assert [a.outcome for a in caught.value.attempts] == [
        AttemptOutcome.UNKNOWN,
        AttemptOutcome.NOT_SENT,
    ]


async def test_closing_while_an_answer_is_awaited() -> None:
    async with Stub([HANG]) as stub:
        async with stub.client() as client:
            task = asyncio.create_task(client.trigger(accounts=[ACCOUNT]))
            while not stub.seen:
                await stub.arrived.wait()
                stub.arrived.clear()
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await task
    assert caught.value.idempotency_key == stub.seen[0].headers["idempotency-key"]


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Sat, 01 Jan 99999 00:00:00 GMT",
        "yesterday",
        "",
    ],
)
async def test_no_date_can_take_an_answer_away(date: str) -> None:
    headers: dict[str, Any] = {"date": date, "retry_after": date, "ratelimit_policy": date}
    good = answer({"id": str(EXECUTION)}, **headers)
    async with (
        Stub([answer(b"", 503, **headers), good], [answer(b"", 503, **headers), token()]) as stub,
        stub.client() as client,
    ):
        for _ in range(2):
            assert (await client.trigger(accounts=[ACCOUNT])).id == EXECUTION
        created = [seen.headers["signature-input"].split("created=")[1] for seen in stub.seen]
        assert all(text.startswith(created[0][:4]) for text in created)


async def test_a_cached_answer_says_nothing_of_the_clock() -> None:
    old = answer({"id": str(EXECUTION)}, date="Sun, 22 Nov 2020 12:00:00 GMT", age="5")
    async with Stub([old]) as stub, stub.client(now=lambda: 1606046460.0) as client:
        await client.trigger(accounts=[ACCOUNT])
        assert client.clock_skew is None


def chain(error: BaseException | None) -> str:
    """All that an error and what stands behind it could show."""
    shown: list[str] = []
    while error is not None:
        shown += [repr(error), str(error), repr(error.args), repr(vars(error))]
        shown += traceback.format_exception(error)
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


ECHOES = [
    "token {token} is expired",
    "secret {secret} is wrong",
    '{{"inner": {{"client_secret": "{secret}", "access_token": "{token}"}}}}',
    "x-token: {token}",
    "Bearer%20{token}",
    "&quot;client_secret&quot;: &quot;{secret}&quot;",
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 307, 400, 500])
async def test_no_echo_of_a_secret_is_shown(echo: str, status: int) -> None:
    text = echo.format(token="stub-access-token", secret="stub-client-secret")

    def reply(seen: Seen) -> Reply:
        value = {"detail": text, "title": text, "id": text, "signature": seen.headers["signature"]}
        return answer(value, status, location=text, upvest_request_id=text)

    async with Stub(reply) as stub, stub.client() as client:
        with pytest.raises(errors.RequestError) as caught:
            await client.trigger(accounts=[ACCOUNT])
    shown = chain(caught.value)
    signature = stub.seen[0].headers["signature"].removeprefix("sig1=:").removesuffix(":")
    for secret in ("stub-access-token", "stub-client-secret", signature):
        assert secret not in shown


@pytest.mark.parametrize("where", ["api", "token"])
async def test_no_credentials_hang_on_an_error_of_the_network(where: str) -> None:
    garbage = Reply(b"nope\r\n\r\n", "close")
    replies, tokens = ([garbage], [token()]) if where == "api" else ([TRIGGERED], [garbage])
    async with Stub(replies, tokens) as stub, stub.client() as client:
        with pytest.raises(errors.RequestError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        shown = chain(caught.value)
        signatures = [s.headers["signature"].strip("sig1=:") for s in stub.seen + stub.tokens]
    for secret in ("stub-access-token", "stub-client-secret", *signatures):
        assert secret not in shown
    assert "RequestInfo" not in shown


async def test_a_servers_text_is_bounded_and_printable() -> None:
    detail = "line 1\nline 2\x1b[31m\ud800" + "x" * 5_000_000
    async with Stub([answer({"detail": detail}, 400)]) as stub, stub.client() as client:
        with pytest.raises(errors.BadRequestError) as caught:
            await client.execution(EXECUTION)
    assert len(str(caught.value)) < 10_000
    assert "\x1b" not in str(caught.value)
    assert "line 1\nline 2" in str(caught.value)
    assert str(caught.value).encode()


async def test_a_hook_that_refuses_a_later_attempt_does_not_hide_what_is_unknown() -> None:
    def refuse(event: AttemptEvent) -> None:
        if isinstance(event, AttemptStarted) and event.number == 2:
            raise OSError("the store is full")

    async with Stub([CLOSE, TRIGGERED]) as stub, stub.client(on_attempt=refuse) as client:
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert len(stub.seen) == 1
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.idempotency_key == stub.seen[0].headers["idempotency-key"]


async def test_an_answer_before_a_refused_connection_is_what_is_told() -> None:
    refusal = attrs.evolve(answer(b"", 503, connection="close"), then="close")
    granted = {"access_token": "t", "expires_in": 1799}
    first = attrs.evolve(answer(granted, connection="close"), then="close")
    async with Stub([refusal], [first]) as stub:

        async def sleep(_: float) -> None:
            stub._server.close()
            await stub._server.wait_closed()

        async with stub.client() as client:
            client._connection.sender.sleep = sleep
            with pytest.raises(errors.ServiceUnavailableError, match="no connection") as caught:
                await client.trigger(accounts=[ACCOUNT])
    assert caught.value.may_have_been_executed
    assert not isinstance(caught.value, errors.NotSentError)


async def test_a_connection_that_hangs_was_never_sent() -> None:
    with contextlib.ExitStack() as stack:
        # A listener that accepts nothing: once its backlog is full, connections only hang.
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        retry = RetryPolicy(max_attempts=1)
        async with (
            Stub([answer(EXECUTION_JSON)]) as stub,
            stub.client(attempt_timeout=1.5, retry=retry) as client,
        ):
            await client.execution(EXECUTION)
            port = listener.getsockname()[1]
            client._connection._transport.base_url = f"http://127.0.0.1:{port}"
            with pytest.raises(errors.NotSentError, match="in time"):
                await client.trigger(accounts=[ACCOUNT])


async def test_a_token_error_keeps_its_history() -> None:
    async with Stub([TRIGGERED], [answer(b"", 503, retry_after="0")]) as stub:
        async with stub.client() as client:
            with pytest.raises(errors.TokenError) as direct:
                await client.authenticate()
            with pytest.raises(errors.TokenError) as waiting:
                await client.trigger(accounts=[ACCOUNT])
    assert direct.value.operation == "token"
    assert len(direct.value.attempts) == len(direct.value.token_attempts) == 3
    assert direct.value.retry_after == 0
    assert waiting.value.operation == "trigger"
    assert len(waiting.value.attempts) == 1
    assert len(waiting.value.token_attempts) == 3


async def test_renewals_are_no_retries() -> None:
    replies = [answer(b"", 401), REFUSED, TRIGGERED]
    async with Stub(replies) as stub, stub.client(retry=RetryPolicy(max_attempts=2)) as client:
        assert len((await client.trigger(accounts=[ACCOUNT])).attempts) == 3


async def test_entering_twice_is_refused_and_leaves_the_client_open() -> None:
    async with Stub([answer(EXECUTION_JSON)]) as stub, stub.client() as client:
        with pytest.raises(errors.InvalidRequestError, match="open already"):
            await client.__aenter__()
        await client.execution(EXECUTION)


async def test_a_client_can_be_opened_again() -> None:
    async with Stub([answer(EXECUTION_JSON)]) as stub:
        client = RebalancingClient(stub.settings())
        for _ in range(2):
            async with client:
                await client.execution(EXECUTION)
        await client.close()


async def test_credentials_of_a_session_do_not_go_to_the_token_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login me password pass\n", "utf-8")
    assert netrc.netrc(str(file)).authenticators("127.0.0.1")
    monkeypatch.setenv("NETRC", str(file))
    async with Stub([answer(EXECUTION_JSON)]) as stub:
        async with stub.client(trust_env=True) as client:
            await client.execution(EXECUTION)
        headers = {"Authorization": aiohttp.encode_basic_auth("me", "pass")}
        async with aiohttp.ClientSession(headers=headers, auto_decompress=False) as session:
            async with stub.client(session=session) as client:
                await client.execution(EXECUTION)
    assert len(stub.tokens) == 2
    assert not [seen for seen in stub.tokens if "authorization" in seen.headers]
    assert {seen.headers["authorization"] for seen in stub.seen} == {"Bearer stub-access-token"}


def options(**changes: Any) -> RebalancingClient:
    return RebalancingClient(settings(), **changes)


def settings(**changes: Any) -> Settings:
    values = {
        "key_id": "k",
        "client_id": CLIENT_ID,
        "client_secret": "a-secret-value",
        "private_key": load_private_key(PEM),
    }
    return Settings(**(values | changes))  # type: ignore[arg-type]


async def hook(_: AttemptEvent) -> None: ...


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"retries": 3}, "there is no option retries"),
        ({"sesion": None}, "there is no option sesion"),
        ({"concurrency": "5"}, "concurrency is '5'"),
        ({"concurrency": 2.5}, "a whole number"),
        ({"concurrency": True}, "a whole number"),
        ({"attempt_timeout": "soon"}, "attempt_timeout"),
        ({"requests_per_second": "fast"}, "requests_per_second"),
        ({"signature_lifetime": 2.5}, "signature_lifetime"),
        ({"signature_lifetime": 10**9}, "1 to 3600"),
        ({"max_answer_bytes": 0.5}, "max_answer_bytes"),
        ({"retry": 5}, "a RetryPolicy is right"),
        ({"retry_budget": 5}, "a RetryBudget is right"),
        ({"session": "x"}, "an aiohttp.ClientSession"),
        ({"proxy": 5}, "the proxy's URL"),
        ({"trust_env": "yes"}, "True or False"),
        ({"ssl": False}, "certificates are always checked"),
        ({"on_attempt": hook}, "a plain function"),
        ({"on_attempt": 5}, "a plain function"),
    ],
)
def test_options_that_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=words):
        options(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_url": "http://10.1.2.3"}, "plain http"),
        ({"base_url": "https://a..b"}, "is right"),
        ({"base_url": f"https://{'x' * 70}.co"}, "is right"),
        ({"base_url": "https://sand box.co"}, "is right"),
        ({"base_url": "https://%41"}, "is right"),
        ({"base_url": 5}, "is no text"),
        ({"client_id": "x\r\ny"}, "a UUID is right"),
        ({"client_id": EXECUTION}, "a UUID is right"),
        ({"client_secret": ""}, "client_secret is missing"),
        ({"client_secret": b"x"}, "client_secret is no text"),
        ({"client_secret": " \n"}, "blank"),
        ({"key_id": "x\ny"}, "key_id"),
        ({"scopes": "portfolios:admin"}, "no tuple"),
        ({"scopes": (1,)}, "no scope"),
        ({"scopes": ()}, "names no scope"),
        ({"private_key": b"pem"}, "load_private_key"),
    ],
)
def test_settings_made_directly_are_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=words) as caught:
        settings(**changes)
    assert len(caught.value.problems) == 1
    with pytest.raises(errors.ConfigurationError, match=words):
        attrs.evolve(settings(), **changes)


def test_settings_in_the_wrong_place_are_not_shown() -> None:
    pem = PEM.decode()
    with pytest.raises(errors.ConfigurationError) as caught:
        Settings.from_env(
            None,
            environ={
                "UPVEST_API_HTTP_SIGN_PRIVATE_KEY_FILENAME": pem,
                "UPVEST_API_CLIENT_ID": "top-secret",
                "UPVEST_API_KEY_ID": pem,
                "UPVEST_API_CLIENT_SECRET": CLIENT_ID,
            },
        )
    assert "BEGIN" not in chain(caught.value)
    assert "top-secret" not in chain(caught.value)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_an_environment_file_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "upvest.env"
    path.write_bytes("UPVEST_API_CLIENT_SECRET='gehéim'\n".encode(encoding))
    with pytest.raises(errors.ConfigurationError, match="not in UTF-8") as caught:
        Settings.from_env(path, environ={})
    assert "UPVEST_API_CLIENT_SECRET='" not in chain(caught.value)


def test_scopes_in_one_text() -> None:
    made = Settings.from_env(
        None,
        environ={},
        key_id="k",
        client_id=CLIENT_ID,
        client_secret="s",
        private_key=PEM.decode().replace("\n", "\\r\\n") + "\n",
        scopes="portfolios:admin,portfolios:read",
    )
    assert made.scopes == ("portfolios:admin", "portfolios:read")


@pytest.mark.parametrize("accounts", [5, None, object()])
async def test_accounts_that_are_no_list(accounts: object) -> None:
    async with Stub([TRIGGERED]) as stub, stub.client() as client:
        with pytest.raises(errors.InvalidRequestError):
            await client.trigger(accounts=accounts)  # type: ignore[arg-type]
        assert not stub.tokens
