"""Nothing that authenticates gets through to a reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upvest_rebalancing.protocol.redaction import SHOWN_HEADERS, redact, shown_headers

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/", min_size=8)


@given(TOKEN)
def test_bearers_are_taken_out(token: str) -> None:
    for text in (f"Bearer {token}", f"authorization: bearer {token}==", f'"Bearer {token}"'):
        assert token not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "signature: sig1=:c2VjcmV0:",
        "client_secret=c2VjcmV0&scope=x",
        '{"access_token": "c2VjcmV0"}',
        "{'client_secret': 'c2VjcmV0'}",
        "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0",
    ],
)
def test_other_credentials_are_taken_out(text: str) -> None:
    assert "c2VjcmV0" not in redact(text)
    assert "…" in redact(text)


def test_other_text_stays() -> None:
    text = 'HTTP 401: sig1 covers ("@method"), created=5'
    assert redact(text) == text


def test_headers_are_shown_by_allowlist() -> None:
    headers = {"Authorization": "Bearer x", "signature": "s", "X-New": "n", "Date": "today"}
    assert shown_headers(headers) == {
        "Authorization": "…",
        "signature": "…",
        "X-New": "…",
        "Date": "today",
    }
    assert not SHOWN_HEADERS & {"authorization", "signature", "signature-input", "cookie"}
