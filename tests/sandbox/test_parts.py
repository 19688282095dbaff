"""The small parts: settings, structured fields, nonces, tokens."""

import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upvest_rebalancing.sandbox import Sandbox, SandboxConfig
from upvest_rebalancing.sandbox.fields import FieldError, Token, parse_dictionary
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.nonces import NonceMemory
from upvest_rebalancing.sandbox.tokens import TokenOffice, TokenRefusedError

CLIENT = "ebabcf4d-61c3-4942-875c-e265a7c2d062"


def test_the_defaults_are_those_that_are_documented() -> None:
    config = SandboxConfig()
    assert config.host == "127.0.0.1"
    assert config.port == 0
    assert config.rate_limit == 300
    assert config.token_lifetime == 1799
    assert config.scopes == ("portfolios:admin", "portfolios:read", "webhooks:read")
    documentation = SandboxConfig.__doc__ or ""
    for field in attrs.fields(SandboxConfig):
        assert f"        {field.name}: " in documentation


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("host", "0.0.0.0", "a loopback address"),
        ("host", "example.com", "a loopback address"),
        ("host", 7, "a loopback address"),
        ("port", 65536, "from 0 to 65535 (a TCP port)"),
        ("port", True, "a whole number"),
        ("seed", 0.5, "a whole number"),
        ("key_type", "rsa", "'p521' or 'ed25519'"),
        ("rate_limit", 0, "of at least 1 (requests per second) or None"),
        ("rate_limit_kind", "leaky", "'fixed' or 'sliding' or 'bucket'"),
        ("token_lifetime", None, "of at least 1 (seconds)"),
        ("order_seconds", -1, "a number of at least 0 (seconds)"),
        ("order_seconds", float("inf"), "a number of at least 0 (seconds)"),
        ("order_seconds", float("nan"), "a number of at least 0 (seconds)"),
        ("moves_per_read", -1, "or None"),
        ("cancelled_share", 1.1, "a number from 0 to 1 (a share)"),
        ("cancelled_share", "0", "a number from 0 to 1 (a share)"),
        ("scopes", (), "a tuple of scopes"),
        ("scopes", ["portfolios:read"], "a tuple of scopes"),
        ("scopes", ("portfolios",), "a tuple of scopes"),
        ("allocation_accounts", -1, "of at least 0 (accounts)"),
        ("max_signature_lifetime", 0, "of at least 1 (seconds)"),
        ("clock_tolerance", False, "of at least 0 (seconds)"),
    ],
)
def test_a_setting_that_cannot_be_is_named(field: str, value: Any, wanted: str) -> None:
    message = re.escape(f"{field}={value!r}: must be ") + ".*" + re.escape(wanted)
    with pytest.raises(ValueError, match=message):
        SandboxConfig(**{field: value})
    with pytest.raises(ValueError, match=message):
        Sandbox(**{field: value})


def test_overrides_come_before_the_config() -> None:
    sandbox = Sandbox(SandboxConfig(seed=1, port=2), seed=3)
    assert (sandbox.config.seed, sandbox.config.port) == (3, 2)


def test_fields_are_read_as_rfc_8941_has_them() -> None:
    text = ' a=("x" y;z=?0 :YQ==:);k="q\\"\\\\";n=-1;d=1.5, b;flag , c=?1,d=(  )'
    members = parse_dictionary(text)
    assert list(members) == ["a", "b", "c", "d"]
    items = members["a"].value
    assert isinstance(items, tuple)
    assert [item.value for item in items] == ["x", "y", b"a"]
    assert isinstance(items[1].value, Token)
    assert items[1].parameters == {"z": False}
    assert members["a"].parameters == {"k": 'q"\\', "n": -1, "d": 1.5}
    assert members["a"].raw == '("x" y;z=?0 :YQ==:);k="q\\"\\\\";n=-1;d=1.5'
    assert members["b"].value is True
    assert members["b"].parameters == {"flag": True}
    assert members["c"].value is True
    assert members["d"].value == ()
    assert parse_dictionary("") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=1", "a lower-case key at character 0, found 'A=1'"),
        ("a=1 b=2", "a comma or the end"),
        ("a=1,", "another member after the comma"),
        ("a=", "a value"),
        ("a=(1", "a space or the list's closing"),
        ("a=(1 ", "closing parenthesis"),
        ('a=("x""y")', "a space or the list's closing"),
        ('a="x', "a quoted string"),
        ('a="ä"', "a quoted string"),
        ('a="\\x"', "a quoted string"),
        ("a=?2", "?0 or ?1"),
        ("a=:Y:", "base64 between the colons is broken"),
        ("a=:Y-:", "standard alphabet"),
        ("a;=1", "a lower-case key"),
    ],
)
def test_what_is_no_field_is_refused(text: str, words: str) -> None:
    with pytest.raises(FieldError, match=re.escape(words)):
        parse_dictionary(text)


@given(st.text() | st.text('ab=()";:?01,\\ *.'))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        members = parse_dictionary(text)
    except FieldError:
        members = {}
    for member in members.values():
        assert member.raw in text


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_quoted_strings_come_back(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_dictionary(f'a="{escaped}"')["a"].value == text


def test_nonces_are_forgotten_when_they_expire() -> None:
    memory = NonceMemory()
    for number in range(100):
        assert memory.use("key", str(number), expires=number, now=0)
    assert len(memory) == 100
    assert not memory.use("key", "60", expires=60, now=50)
    assert len(memory) == 50
    assert memory.use("key", "10", expires=70, now=50)
    assert memory.use("other", "60", expires=60, now=50)
    assert memory.use("key", "late", expires=999, now=998)
    assert len(memory) == 1


def test_tokens_are_forgotten_long_after_they_expire() -> None:
    office = TokenOffice(10)
    office.register(CLIENT.upper(), "secret", ["a:read"])
    first, _ = office.issue(CLIENT, "secret", ["a:read"], 0)
    assert office.check(first, CLIENT, 9.9).scopes == {"a:read"}
    with pytest.raises(TokenRefusedError, match=r"expired 0\.000 s ago"):
        office.check(first, CLIENT, 10)
    office.revoke_all()
    office.issue(CLIENT, "secret", [], 3000)
    with pytest.raises(TokenRefusedError, match="revoked"):
        office.check(first, CLIENT, 3000)
    office.issue(CLIENT, "secret", [], 4000)
    with pytest.raises(TokenRefusedError, match="unknown"):
        office.check(first, CLIENT, 4000)


def test_a_client_has_an_id_and_a_secret() -> None:
    office = TokenOffice(10)
    with pytest.raises(ValueError, match="client_id='me'"):
        office.register("me", "secret", [])
    with pytest.raises(ValueError, match="client_secret: must not be empty"):
        office.register(CLIENT, "", [])
    office.register(CLIENT, "a secret", [])
    assert "a secret" not in repr(office._clients)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a?b=c", "/a", "b=c"),
        ("/a?b=http://x/", "/a", "b=http://x/"),
        ("http://x/a?b", "/a", "b"),
        ("http://x", "/", ""),
        ("?a", "/", "a"),
        ("*", "*", ""),
    ],
)
def test_targets_are_taken_apart(target: str, path: str, query: str) -> None:
    message = Message(method="GET", target=target)
    assert (message.path, message.query) == (path, query)
    assert message.authority == ""
