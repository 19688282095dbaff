"""What can go wrong on the way, each with its outcome; nothing of aiohttp's leaks out."""

import gzip
import ssl
import zlib

import aiohttp
import attrs
import pytest
import trustme
from aiohttp import client_exceptions

from tests.stub import ACCOUNT, EXECUTION, EXECUTION_JSON, PEM, Reply, Seen, Stub, answer
from upvest_rebalancing import errors
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import AttemptOutcome
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.settings import Settings
from upvest_rebalancing.transport import FAILURES, failure_of

EXCEPTIONS = [getattr(client_exceptions, name) for name in client_exceptions.__all__]
NEVER_SENT = {
    *("ClientConnectorError", "ClientConnectorDNSError", "ClientConnectorSSLError"),
    *("ClientConnectorCertificateError", "ClientProxyConnectionError", "ClientHttpProxyError"),
    *("ClientSSLError", "ConnectionTimeoutError", "ServerFingerprintMismatch", "InvalidURL"),
    *("InvalidUrlClientError", "InvalidUrlRedirectClientError"),
}


@pytest.mark.parametrize(
    "cls", [c for c in EXCEPTIONS if issubclass(c, aiohttp.ClientError)], ids=lambda c: c.__name__
)
def test_the_table_knows_every_exception_of_aiohttp(cls: type[Exception]) -> None:
    failure = failure_of(cls.__new__(cls))
    expected = AttemptOutcome.NOT_SENT if cls.__name__ in NEVER_SENT else AttemptOutcome.UNKNOWN
    assert failure.outcome is expected
    assert failure.words


def test_an_exception_that_is_not_of_the_network_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        failure_of(ZeroDivisionError())
    assert all(failure.words for failure in FAILURES.values())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with Stub([answer(EXECUTION_JSON)]) as elsewhere:
        redirect = answer(b"", status, location=f"{elsewhere.url}/stolen")
        async with Stub([redirect]) as stub, stub.client() as client:
            with pytest.raises(errors.RedirectError) as caught:
                await client.trigger(accounts=[ACCOUNT])
            assert caught.value.location == f"{elsewhere.url}/stolen"
            assert not caught.value.may_have_been_executed
            assert len(stub.seen) == 1
        assert elsewhere.connections == 0


async def test_a_gzip_bomb_ends_at_the_limit() -> None:
    bomb = gzip.compress(b" " * (8 * 1024 * 1024))
    reply = answer(bomb, content_encoding="gzip")
    async with Stub([reply]) as stub, stub.client(max_answer_bytes=64 * 1024) as client:
        with pytest.raises(errors.AnswerTooLargeError) as caught:
            await client.execution(EXECUTION)
        assert len(stub.seen) == 1
        assert len(caught.value.body) <= 500


async def test_an_answer_within_the_limit_is_decompressed() -> None:
    body = b'{"id": "735381ce-8380-4b07-9e42-97e2b6d3643e"}' + b" " * 900
    for encoding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        reply = answer(packed, content_encoding=encoding)
        async with Stub([reply]) as stub, stub.client(max_answer_bytes=1000) as client:
            assert (await client.trigger(accounts=[ACCOUNT])).id == EXECUTION


async def test_an_error_page_beyond_the_limit_is_an_error_too() -> None:
    reply = answer(b"x" * 2000, 500, content_type="text/html")
    async with Stub([reply]) as stub, stub.client(max_answer_bytes=1000) as client:
        with pytest.raises(errors.AnswerTooLargeError) as caught:
            await client.execution(EXECUTION)
        assert caught.value.status == 500


async def test_damaged_compression_is_an_unknown_outcome() -> None:
    reply = attrs.evolve(answer(b"not gzip", content_encoding="gzip"), then="close")
    async with Stub([reply]) as stub, stub.client() as client:
        with pytest.raises(errors.OutcomeUnknownError):
            await client.trigger(accounts=[ACCOUNT])


async def test_a_chunked_answer_that_ends_early() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    async with Stub([Reply(head + b'5\r\n{"id"\r\n', "close")]) as stub, stub.client() as client:
        with pytest.raises(errors.OutcomeUnknownError):
            await client.trigger(accounts=[ACCOUNT])


async def test_tls_with_the_callers_context() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with Stub([answer(EXECUTION_JSON)], tls=server) as stub:
        async with stub.client(ssl=trusted) as client:
            assert (await client.execution(EXECUTION)).id == EXECUTION


async def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    async with Stub([answer(EXECUTION_JSON)], tls=server) as stub, stub.client() as client:
        with pytest.raises(errors.TokenError, match="certificate is not trusted") as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert not caught.value.may_have_been_executed
        assert client.statistics.retries == 0
        assert not stub.seen


async def test_a_host_that_does_not_exist() -> None:
    settings = Settings.from_env(
        None,
        environ={},
        base_url="https://nowhere.invalid",
        key_id="k",
        client_id=str(ACCOUNT),
        client_secret="s",
        private_key=PEM,
    )
    retry = RetryPolicy(max_attempts=1)
    async with RebalancingClient(settings, retry=retry) as client:
        with pytest.raises(errors.NotSentError):
            await client.execution(EXECUTION)


@pytest.mark.parametrize("way", ["argument", "environment"])
async def test_proxies(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for plain http is asked for the whole URL; the stub plays the proxy."""
    token = answer({"access_token": "t", "expires_in": 60, "scope": "portfolios:admin"})

    def proxy(seen: Seen) -> Reply:
        return token if seen.target.endswith("/auth/token") else answer(EXECUTION_JSON)

    async with Stub(proxy) as stub:
        settings = Settings.from_env(
            None,
            environ={},
            base_url="http://127.0.0.1:9",
            key_id="k",
            client_id=str(ACCOUNT),
            client_secret="s",
            private_key=PEM,
        )
        for name in ("no_proxy", "NO_PROXY", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        if way == "environment":
            monkeypatch.setenv("http_proxy", stub.url)
            client = RebalancingClient(settings, trust_env=True)
        else:
            client = RebalancingClient(settings, proxy=stub.url)
        async with client:
            assert (await client.execution(EXECUTION)).id == EXECUTION
        assert [seen.target for seen in stub.seen] == [
            "http://127.0.0.1:9/auth/token",
            f"http://127.0.0.1:9/portfolios/rebalancings/executions/{EXECUTION}",
        ]
        assert '"@path"' in stub.seen[1].headers["signature-input"]
