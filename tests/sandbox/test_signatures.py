import base64
import hashlib
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.signer import PrivateKey, Style, digest, sign
from upvest_rebalancing.sandbox.components import (
    NEVER_COVERED_NAMES,
    NEVER_COVERED_PREFIXES,
    component_value,
    signature_base,
)
from upvest_rebalancing.sandbox.digests import content_digest
from upvest_rebalancing.sandbox.keys import load_verifying_key
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.signature_input import SignatureRefusedError
from upvest_rebalancing.sandbox.signatures import SignaturePolicy, Verifier

NOW = 1_700_000_000.25
TOKEN = "a-secret-token-0123456789"
TARGET = "/portfolios/rebalancings/executions/x/orders?limit=10&start_date=2022-10-14T00%3A00%3A00Z"
BODY = '{"accounts": ["ä"]}'.encode()
P521 = ec.generate_private_key(ec.SECP521R1())
OTHER_P521 = ec.generate_private_key(ec.SECP521R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, PrivateKey] = {"key": P521, "other": OTHER_P521, "ed": ED25519}


def public_pem(key: Any) -> bytes:
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert isinstance(pem, bytes)
    return pem


def make_verifier(monotonic: Callable[[], float] = time.monotonic) -> Verifier:
    policy = SignaturePolicy(max_lifetime=300, clock_tolerance=5)
    verifier = Verifier(policy, monotonic=monotonic)
    for key_id, key in KEYS.items():
        verifier.register(load_verifying_key(key_id, public_pem(key)))
    return verifier


def headers_of(body: bytes) -> dict[str, str]:
    headers = {
        "host": "127.0.0.1:8080",
        "accept": "application/json",
        "authorization": f"Bearer {TOKEN}",
        "idempotency-key": "ccb07f42-4104-44ad-8e1f-c660bb7b269c",
        "upvest-client-id": "ebabcf4d-61c3-4942-875c-e265a7c2d062",
        "upvest-api-version": "1",
        "upvest-signature-version": "15",
        "user-agent": "tests",
    }
    if body:
        headers |= {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "content-digest": digest(body),
        }
    return headers


def make_message(
    *,
    key: PrivateKey = P521,
    method: str = "POST",
    target: str = TARGET,
    body: bytes = BODY,
    headers: dict[str, str | None] | None = None,
    sent: dict[str, str | None] | None = None,
    sent_target: str | None = None,
    sent_body: bytes | None = None,
    **style: Any,
) -> Message:
    signed: dict[str, str | None] = {**headers_of(body), **(headers or {})}
    present = {name: value for name, value in signed.items() if value is not None}
    present |= sign(key, method, target, present, Style(**style))
    final = {**present, **(sent or {})}
    return Message(
        method=method,
        target=sent_target or target,
        headers=tuple((name, value) for name, value in final.items() if value is not None),
        body=body if sent_body is None else sent_body,
    )


def refusal(message: Message, *, token_request: bool = False, now: float = NOW) -> str:
    with pytest.raises(SignatureRefusedError) as caught:
        make_verifier().verify(message, token_request=token_request, now=now)
    text = str(caught.value)
    assert TOKEN not in text
    secret = (message.header("signature") or "")[6:40]
    assert not secret or secret not in text
    return text


def accept(message: Message, *, token_request: bool = False, now: float = NOW) -> None:
    make_verifier().verify(message, token_request=token_request, now=now)


@pytest.mark.parametrize(
    "order", list(itertools.permutations(("keyid", "created", "expires", "nonce")))
)
def test_parameters_may_stand_in_any_order(order: tuple[str, ...]) -> None:
    accept(make_message(order=order, key=ED25519, key_id="ed"))


@given(
    order=st.permutations(
        [
            "@method",
            "@path",
            "@query",
            *(name for name in headers_of(BODY) if name not in {"host", "user-agent"}),
        ]
    ),
    nonce=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1).filter(
        lambda text: '"' not in text and "\\" not in text
    ),
    lifetime=st.integers(1, 300),
)
@settings(deadline=None, max_examples=40)
def test_components_nonces_and_lifetimes_are_free(
    order: list[str], nonce: str, lifetime: int
) -> None:
    covered = [name for name in order if name != "upvest-signature-version"]
    accept(make_message(covered=covered, nonce=nonce, lifetime=lifetime, key=ED25519, key_id="ed"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"key": ED25519, "key_id": "ed"},
        {"label": "my-signature"},
        {"method": "GET", "body": b""},
        {"target": "/portfolios/rebalancings/executions", "body": b""},
        {"target": "/%C3%A4/a%20b/%2f?", "body": b""},
        {"target": "/x?", "body": b"", "extra": ["@query"], "values": {"@query": "?"}},
        {"target": "/x", "body": b"", "extra": ["@query"], "values": {"@query": "?"}},
        {"target": "/x?a=b+c%2B:;,/?&b=%e4", "body": b""},
        {"headers": {"date": "Tue, 20 Apr 2021 02:07:55 GMT"}},
        {"headers": {"upvest-api-version": None}},
        {"headers": {"accept-language": "de, en;q=0.5"}},
        {"headers": {"note": "\xe4"}},
        {"order": ("keyid", "created", "expires", "nonce", "alg"),
         "parameters": {"alg": '"ecdsa-p521-sha512"'}},
        {"order": ("tag", "keyid", "created", "expires", "nonce"),
         "parameters": {"tag": '"x"'}},
        {"parameters": {"nonce": '"with \\"quotes\\" and \\\\"'}},
        {"extra": ["@authority", "@scheme", "@target-uri", "@request-target"],
         "values": {
             "@authority": "127.0.0.1:8080",
             "@scheme": "http",
             "@target-uri": f"http://127.0.0.1:8080{TARGET}",
             "@request-target": TARGET,
         }},
        {"created": 1_700_000_005},
        {"created": 1_699_999_970, "lifetime": 31},
        {"edit_input": lambda text: text.replace('" "', '"  "'),
         "edit_base": lambda base: base[: base.rindex("(")] + base[base.rindex("("):].replace(
             '" "', '"  "')},
    ],
)  # fmt: skip
def test_what_follows_the_documentation_is_taken(options: dict[str, Any]) -> None:
    accept(make_message(**options))


def test_a_token_request_needs_no_authorization() -> None:
    accept(make_message(headers={"authorization": None}), token_request=True)
    accept(make_message(uncovered=["authorization"]), token_request=True)


def test_several_lines_of_a_header_are_joined() -> None:
    message = make_message(headers={"note": "a, b"})
    headers = [pair for pair in message.headers if pair[0] != "note"]
    accept(
        Message(
            method=message.method,
            target=message.target,
            headers=(*headers, ("note", "a"), ("note", "b")),
            body=message.body,
        )
    )


def test_the_path_of_an_absolute_target_is_its_path() -> None:
    accept(make_message(sent_target=f"http://127.0.0.1:8080{TARGET}"))
    message = make_message(target="/", body=b"", sent_target="http://127.0.0.1:8080")
    accept(message)


def test_of_several_signatures_one_good_one_suffices() -> None:
    good, bad = make_message(), make_message(edit_base=lambda base: base.upper(), label="a")
    both = {
        name: f"{bad.header(name)}, {good.header(name)}"
        for name in ("signature-input", "signature")
    }
    accept(make_message(sent={**both}))
    unsigned = f'other=("@method");keyid="x", {good.header("signature-input")}'
    accept(make_message(sent={"signature-input": unsigned, "signature": good.header("signature")}))
    worse = make_message(edit_base=lambda base: base + "?", label="b")
    neither = {
        name: f"{bad.header(name)}, {worse.header(name)}"
        for name in ("signature-input", "signature")
    }
    text = refusal(make_message(sent={**neither}))
    assert text.startswith("a: ")
    assert "\nb: " in text


@pytest.mark.parametrize(
    "name",
    [
        "@method", "@path", "@query", "accept", "authorization", "content-length", "content-type",
        "content-digest", "idempotency-key", "upvest-client-id", "upvest-api-version", "date",
    ],
)  # fmt: skip
def test_a_required_component_has_to_be_covered(name: str) -> None:
    headers: dict[str, str | None] = {"date": "Tue, 20 Apr 2021 02:07:55 GMT"}
    covered = ["@method", "@path", "@query", *headers_of(BODY), *headers]
    for left_out in (name, "host", "user-agent", "upvest-signature-version"):
        covered.remove(left_out)
    assert f'does not cover "{name}"' in refusal(make_message(headers=headers, covered=covered))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sent": {"upvest-signature-version": None}}, "upvest-signature-version is missing"),
        ({"sent": {"upvest-signature-version": "6"}}, "is '6'; it has to be 15"),
        ({"sent": {"signature": None}}, "the header signature is missing"),
        ({"sent": {"signature-input": ""}}, "the header signature-input is missing"),
        ({"sent": {"signature-input": "sig1=("}}, "signature-input cannot be read"),
        ({"sent": {"signature-input": "sig1=abc"}}, "must be a list of components"),
        ({"sent": {"signature": "sig2=:YQ==:"}}, "no label is in both"),
        ({"edit_header": lambda text: text.strip(":") + "="}, "signature cannot be read: expected"),
        ({"edit_header": lambda _: ":a=b:"}, "standard alphabet"),
        ({"edit_header": lambda text: ":-_" + text[3:]}, "standard alphabet"),
        ({"edit_header": lambda _: ":YWJ:"}, "base64 between the colons is broken"),
        ({"edit_header": lambda text: f'"{text}"'}, "must be base64 between colons"),
        ({"edit_input": lambda text: text.replace('"@path"', "path")}, "in quotation marks"),
        ({"edit_input": lambda text: text.replace('"@path"', "5")}, "in quotation marks"),
        ({"edit_input": lambda text: text.replace('"accept"', '"accept";sf')}, "parameter sf"),
        ({"edit_input": lambda text: text.replace('"accept"', '"accept";key="a";bs')}, "key, bs"),
        ({"edit_input": lambda text: text.replace('"accept"', '"@path"')}, "more than once"),
        ({"edit_input": lambda text: text.replace('"accept"', '"Accept"')}, "lower case"),
        ({"edit_input": lambda text: text.replace('"accept"', '"nothing"')}, "no such header"),
        ({"edit_input": lambda text: text.replace('"accept"', '"@status"')}, '"@status" is not'),
        ({"order": ("created", "expires", "nonce")}, "no parameter keyid"),
        ({"order": ("keyid", "expires", "nonce")}, "no parameter created"),
        ({"order": ("keyid", "created", "nonce")}, "no parameter expires"),
        ({"order": ("keyid", "created", "expires")}, "no parameter nonce"),
        ({"nonce": ""}, "nonce must be a quoted string that is not empty"),
        ({"parameters": {"nonce": "abc"}}, "nonce must be a quoted string"),
        ({"parameters": {"keyid": "5"}}, "keyid must be a quoted string"),
        ({"parameters": {"created": '"1700000000"'}}, "created must be whole Unix seconds"),
        ({"parameters": {"created": "1700000000.0"}}, "created must be whole Unix seconds"),
        ({"parameters": {"expires": "?1"}}, "expires must be whole Unix seconds"),
        ({"key_id": "nobody"}, "'nobody' is not registered here; these are: ed, key, other"),
        ({"order": ("keyid", "created", "expires", "nonce", "alg"),
          "parameters": {"alg": '"ed25519"'}}, "is a key for 'ecdsa-p521-sha512'"),
        ({"key": ED25519, "key_id": "ed", "order": ("keyid", "created", "expires", "nonce", "alg"),
          "parameters": {"alg": '"hs2019"'}}, "is a key for 'ed25519'; alg may be left out"),
        ({"created": 1_700_000_006}, "not yet valid"),
        ({"created": 1_699_999_960, "lifetime": 39}, "expired 1.250 s ago"),
        ({"lifetime": 0}, "must be later than created"),
        ({"lifetime": 301}, "good for 301 s"),
        ({"sent_body": BODY + b"x"}, f"but the body has {len(BODY) + 1} bytes"),
        ({"headers": {"content-digest": None}}, "has to carry the header content-digest"),
        ({"headers": {"content-digest": "sha-512"}}, "must be base64 between colons"),
        ({"headers": {"content-digest": "SHA-512=:YQ==:"}}, "content-digest cannot be read"),
        ({"headers": {"content-digest": "sha-256=:YQ==:"}}, "has no sha-512 digest"),
        ({"key": ED25519}, "as one of Ed25519, but keyid 'key' is a P-521 key"),
        ({"key_id": "ed"}, "but an Ed25519 signature has 64"),
        ({"edit_signature": lambda _: b"short"}, "5 bytes that are not DER"),
        ({"key": OTHER_P521}, "made with the key registered as 'other'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(options: dict[str, Any], words: str) -> None:
    assert words in refusal(make_message(**options))


@pytest.mark.parametrize("name", sorted(NEVER_COVERED_NAMES | {
    f"{prefix.rstrip('-')}-a" for prefix in NEVER_COVERED_PREFIXES
}))  # fmt: skip
def test_some_headers_are_never_covered(name: str) -> None:
    message = make_message(headers={name: "a"}, extra=[name], values={name: "a"}, uncovered=[name])
    assert f'"{name}" is among the headers that are never covered' in refusal(message)


def test_a_raw_signature_is_recognised() -> None:
    def raw(signature: bytes) -> bytes:
        return b"".join(part.to_bytes(66, "big") for part in decode_dss_signature(signature))

    assert "raw r||s (132 bytes" in refusal(make_message(edit_signature=raw))


def test_a_nonce_is_used_once_per_key_until_it_expires() -> None:
    verifier = make_verifier()
    message = make_message(nonce="one")
    verifier.verify(message, token_request=False, now=NOW)
    with pytest.raises(SignatureRefusedError, match="'one' was used before"):
        verifier.verify(message, token_request=False, now=NOW)
    other = make_message(nonce="one", key=OTHER_P521, key_id="other")
    verifier.verify(other, token_request=False, now=NOW)
    with pytest.raises(SignatureRefusedError, match="expired"):
        verifier.verify(message, token_request=False, now=NOW + 31)
    later = make_message(nonce="one", created=1_700_000_031)
    verifier.verify(later, token_request=False, now=NOW + 31)


def test_a_wrong_signature_uses_up_no_nonce() -> None:
    verifier = make_verifier()
    with pytest.raises(SignatureRefusedError):
        verifier.verify(
            make_message(nonce="one", edit_base=lambda base: base + "!"),
            token_request=False,
            now=NOW,
        )
    verifier.verify(make_message(nonce="one"), token_request=False, now=NOW)


def compact(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("digested", "words"),
    [
        (b"", "of an empty body"),
        (BODY + b"\n", "with a newline at its end"),
        (compact(BODY), "written without white space"),
        (json.dumps(json.loads(BODY)).encode(), "with a space after commas"),
        (json.dumps(json.loads(BODY), indent=2).encode(), "with indentation"),
    ],
)
def test_the_digest_of_another_body_is_recognised(digested: bytes, words: str) -> None:
    text = refusal(make_message(headers={"content-digest": digest(digested)}))
    assert words in text
    assert f"\nexpected: {digest(BODY)}\ngot:      {digest(digested)}" in text


def test_other_mistakes_of_digests_are_recognised() -> None:
    short = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    text = refusal(make_message(headers={"content-digest": f"sha-512=:{short}:"}))
    assert "it is a SHA-256 digest" in text
    hexadecimal = base64.b64encode(hashlib.sha512(BODY).hexdigest().encode()).decode()
    text = refusal(make_message(headers={"content-digest": f"sha-512=:{hexadecimal}:"}))
    assert "hexadecimal form" in text
    text = refusal(make_message(body=b"no json", headers={"content-digest": "sha-512=:YQ==:"}))
    assert "is not the digest of the body\n" in text


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (
            b'{"hello": "world"}',
            "WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==",
        ),
        (
            b'{"key": "value"}',
            "Hd9/AvGZkbjitW1+Ml8Fg1ux1mtcDYe6mLQjDyoowIWa3LM/PmwN2v9O+MjtQGrCA3EQWUL54dlgxKHyYbrucw==",
        ),
    ],
)
def test_documented_digests(body: bytes, value: str) -> None:
    assert content_digest(body) == f"sha-512=:{value}:"


def test_the_example_of_rfc_9421_b_2_6() -> None:
    pem = (
        b"-----BEGIN PUBLIC KEY-----\n"
        b"MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n"
        b"-----END PUBLIC KEY-----\n"
    )
    message = Message(
        method="POST",
        target="/foo?param=Value&Pet=dog",
        headers=(
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ),
        body=b'{"hello": "world"}',
    )
    names = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    listed = " ".join(f'"{name}"' for name in names)
    base = signature_base(
        [(name, component_value(message, name)) for name in names],
        f'({listed});created=1618884473;keyid="test-key-ed25519"',
    )
    signature = base64.b64decode(
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )
    key = load_verifying_key("test-key-ed25519", pem)
    assert key.verifies(signature, base)
    assert not key.verifies(signature, base + b"\n")


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())]
)
def test_other_keys_are_not_registered(key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(ValueError, match="must be a P-521 or an Ed25519"):
        load_verifying_key("key", public_pem(key))
    with pytest.raises(ValueError, match="must not be empty"):
        load_verifying_key("", public_pem(P521))


@given(st.dictionaries(st.sampled_from(["signature", "signature-input"]), st.text(max_size=60)))
@settings(deadline=None)
def test_whatever_the_headers_are_it_is_a_refusal(sent: dict[str, str]) -> None:
    spoilt: dict[str, str | None] = {"signature": "x", **sent}
    with pytest.raises(SignatureRefusedError):
        accept(make_message(key=ED25519, key_id="ed", sent=spoilt))


def test_a_hash_of_another_length_is_named() -> None:
    assert "hashed with SHA256" in refusal(make_message(hash=hashes.SHA256()))
