"""Signatures, pinned by vectors that were not made with the code under test."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP521R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from upvest_rebalancing.protocol.keys import load_private_key
from upvest_rebalancing.protocol.signatures import (
    COVERED_HEADERS,
    Covered,
    Signer,
    content_digest,
    covered,
    covered_headers,
    signature_parameters,
)


def components(method: str, target: str, headers: dict[str, str]) -> list[tuple[str, str]]:
    """Read what is covered back from the lines of the signature base."""
    fields = covered_headers(headers.get(name) for name in COVERED_HEADERS)
    message = covered(method, target, fields)
    lines = [line.split(": ", 1) for line in message.lines.splitlines()]
    found = [(name.strip('"'), value) for name, value in lines]
    assert message.names == " ".join(f'"{name}"' for name, _ in found)
    return found


RECORDED = json.loads(
    (Path(__file__).parent.parent / "vectors" / "upvest-package.json").read_text(encoding="utf-8")
)["cases"]

# RFC 9421, appendix B.1.4.
RFC_ED25519 = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("body", "digest"),
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
def test_digest_vectors_of_the_documentation(body: bytes, digest: str) -> None:
    assert content_digest(body) == f"sha-512=:{digest}:"


def test_rfc_9421_appendix_b_2_6() -> None:
    message = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ]
    parameters = (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    signature = load_private_key(RFC_ED25519).sign(Covered.of(message).base(parameters))
    assert base64.b64encode(signature).decode() == (
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["name"])
def test_bases_recorded_from_upvests_package(case: dict[str, Any]) -> None:
    sent = {**case["headers_in"], **case["headers_added"]}
    headers = {name.lower(): str(value) for name, value in sent.items()}
    url = urlsplit(str(case["url"]))
    target = url.path + (f"?{url.query}" if url.query else "")
    ours = dict(components(str(case["method"]), target, headers))

    lines = [line.split(": ", 1) for line in str(case["base"]).split("\n")]
    theirs = {name.strip('"'): value for name, value in lines}
    parameters = theirs.pop("@signature-params")
    assert ours == theirs

    in_their_order = [(name, ours[name]) for name in theirs]
    assert Covered.of(in_their_order).base(parameters).decode() == case["base"]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["name"])
def test_parameters_are_written_as_upvests_package_writes_them(case: dict[str, Any]) -> None:
    text = case["headers_added"]["signature-input"].removeprefix("sig1=")
    names = text[1 : text.index(")")].replace('"', "").split()
    values = dict(part.split("=", 1) for part in text[text.index(")") + 2 :].split(";"))
    created = int(values["created"])
    written = signature_parameters(
        " ".join(f'"{name}"' for name in names),
        keyid=values["keyid"].strip('"'),
        nonce=values["nonce"].strip('"'),
        created=created,
        lifetime=int(values["expires"]) - created,
    )
    assert written == text


def test_query_is_covered_only_where_there_is_one() -> None:
    assert dict(components("get", "/a?", {})) == {"@method": "GET", "@path": "/a"}
    assert dict(components("GET", "/a?b=%2B", {}))["@query"] == "?b=%2B"
    assert dict(components("GET", "?b=1", {}))["@path"] == "/"


def test_content_headers_are_covered_only_with_a_body() -> None:
    headers = {"content-type": "application/json", "content-length": "0", "accept": "x"}
    assert [name for name, _ in components("POST", "/", headers)] == ["@method", "@path", "accept"]
    with_body = headers | {"content-digest": content_digest(b"x")}
    assert [name for name, _ in components("POST", "/", with_body)][3:] == [
        "content-length",
        "content-type",
        "content-digest",
    ]


@given(
    st.dictionaries(
        st.sampled_from(
            (
                *("cf-ray", "cdn-loop", "cookie", "x-a", "priority", "sec-a", "user-agent"),
                *("host", "upvest-signature-version", "accept-encoding", "connection"),
            )
        ),
        st.text(),
    )
)
def test_what_is_never_covered(headers: dict[str, str]) -> None:
    assert components("GET", "/", headers) == [("@method", "GET"), ("@path", "/")]


def test_strings_in_parameters_are_escaped() -> None:
    text = signature_parameters("", keyid='a"b\\c', nonce="n", created=1, lifetime=5)
    assert text == r'();keyid="a\"b\\c";nonce="n";created=1;expires=6'


def test_p521_signature_is_der_over_the_base() -> None:
    private = generate_private_key(SECP521R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signer = Signer(key=load_private_key(pem), keyid="k", lifetime=10)
    headers = {"accept": "application/json"}
    added = signer.sign(method="GET", target="/a?b=c", headers=headers, nonce="n", created=100)
    assert added["upvest-signature-version"] == "15"
    parameters = added["signature-input"].removeprefix("sig1=")
    assert parameters == (
        '("@method" "@path" "@query" "accept");keyid="k";nonce="n";created=100;expires=110'
    )
    base = (
        f'"@method": GET\n"@path": /a\n"@query": ?b=c\n"accept": application/json\n'
        f'"@signature-params": {parameters}'
    )
    signature = base64.b64decode(added["signature"].removeprefix("sig1=:").removesuffix(":"))
    private.public_key().verify(signature, base.encode(), ECDSA(SHA512()))
    assert "private" not in repr(signer)
