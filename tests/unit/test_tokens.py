"""The token request, and whatever a token endpoint may answer."""

import json
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upvest_rebalancing.errors import ScopeError, TokenError
from upvest_rebalancing.protocol.messages import Response
from upvest_rebalancing.protocol.tokens import (
    DEFAULT_LIFETIME,
    Token,
    needs_refresh,
    parse_token,
    token_request,
)

SCOPES = ("portfolios:admin", "portfolios:read")
GOOD: dict[str, object] = {
    "access_token": "ory_at_abc.DEF-ghi",
    "expires_in": 1799,
    "token_type": "bearer",
    "scope": "portfolios:read portfolios:admin users:read",
}


def parse(**changes: object) -> Token:
    values = {name: value for name, value in (GOOD | changes).items() if value != "absent"}
    body = json.dumps(values).encode()
    return parse_token(Response(status=200, body=body), scopes=SCOPES, now=100.0)


def test_the_form() -> None:
    request = token_request(client_id="c", client_secret="s&e=cret+ü", scopes=SCOPES)
    assert (request.method, request.target) == ("POST", "/auth/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "scope": ["portfolios:admin portfolios:read"],
        "client_id": ["c"],
        "client_secret": ["s&e=cret+ü"],
    }
    assert "cret" not in repr(request)
    assert request.idempotency_key is None


def test_a_token() -> None:
    token = parse()
    assert token.access_token == GOOD["access_token"]
    assert (token.obtained_at, token.lifetime) == (100.0, 1799.0)
    assert token.scopes == ("portfolios:read", "portfolios:admin", "users:read")
    assert "ory_at" not in repr(token)


def test_what_may_be_left_out() -> None:
    token = parse(scope="absent", expires_in="absent", token_type="absent")
    assert token.scopes == SCOPES
    assert token.lifetime == DEFAULT_LIFETIME


@pytest.mark.parametrize("value", ["60", 60, 60.0])
def test_lifetimes_in_any_notation(value: object) -> None:
    assert parse(expires_in=value).lifetime == 60.0


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": "absent"},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "two words"},
        {"access_token": "a\r\nx-evil: 1"},
        {"token_type": "mac"},
        {"token_type": 5},
        {"scope": 5},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": "soon"},
        {"expires_in": True},
        {"expires_in": [1]},
        {"expires_in": float("inf")},
        {"expires_in": float("nan")},
        {"expires_in": 10**400},
    ],
)
def test_nonsense_is_a_typed_error(changes: dict[str, object]) -> None:
    with pytest.raises(TokenError, match="HTTP 200, but") as caught:
        parse(**changes)
    assert caught.value.status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_no_object_is_a_typed_error(body: bytes) -> None:
    with pytest.raises(TokenError, match="no JSON object"):
        parse_token(Response(status=200, body=body), scopes=SCOPES, now=0)


def test_narrower_scopes_are_named() -> None:
    with pytest.raises(ScopeError, match="lacks the scopes portfolios:admin") as caught:
        parse(scope="portfolios:read")
    assert caught.value.missing == ("portfolios:admin",)
    assert caught.value.granted == ("portfolios:read",)
    with pytest.raises(ScopeError, match="granted are: none"):
        parse(scope="")


def token(lifetime: float) -> Token:
    return Token(access_token="a", obtained_at=100.0, lifetime=lifetime, scopes=())


@pytest.mark.parametrize(("lifetime", "refresh_at"), [(2, 101.5), (1799, 1839), (240, 280)])
def test_the_margin(lifetime: float, refresh_at: float) -> None:
    assert token(lifetime).refresh_at == refresh_at
    assert not needs_refresh(token(lifetime), refresh_at - 0.01)
    assert needs_refresh(token(lifetime), refresh_at)
    assert needs_refresh(None, 0)


@given(st.floats(0.001, 10**9))
def test_a_token_is_used_for_most_of_its_life_and_never_beyond(lifetime: float) -> None:
    at = token(lifetime).refresh_at
    assert 100 + lifetime * 0.74 <= at < 100 + lifetime or lifetime < 1e-9
