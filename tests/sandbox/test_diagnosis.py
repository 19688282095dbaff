import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.test_signatures import (
    BODY,
    ED25519,
    NOW,
    P521,
    TARGET,
    TOKEN,
    headers_of,
    make_message,
    make_verifier,
    refusal,
)
from upvest_rebalancing.sandbox.signature_input import SignatureRefusedError
from upvest_rebalancing.sandbox.variants import value_variants

PATH, _, QUERY = TARGET.partition("?")
DATE = "Tue, 20 Apr 2021 02:07:55 GMT"


def ed(**options: Any) -> str:
    return refusal(make_message(**{"key": ED25519, "key_id": "ed", **options}))


@pytest.mark.parametrize(
    ("name", "signed", "options", "words"),
    [
        ("@method", "post", {}, "method is in lower case"),
        ("@path", f"{PATH}?{QUERY}", {}, "has the query in it"),
        ("@path", "/a b", {"target": "/a%20b"}, "@path is percent-decoded"),
        ("@path", "/a%2520b", {"target": "/a%20b"}, "percent-encoded twice"),
        ("@path", "/a%20b", {"target": "/a b"}, "percent-encoded"),
        ("@path", "/a%3Ab", {"target": "/a:b"}, "percent-encoded"),
        ("@path", f"{PATH}/", {}, "slash at its end"),
        ("@path", PATH, {"target": f"{PATH}/"}, "lacks the slash at its end"),
        ("@path", PATH[1:], {}, "lacks its leading slash"),
        ("@path", f"http://127.0.0.1:8080{PATH}", {}, "is the whole URL"),
        ("@path", PATH.upper(), {}, "in upper case"),
        ("@query", QUERY, {}, "lacks its leading ?"),
        ("@query", "?limit=10&start_date=2022-10-14T00:00:00Z", {}, "percent-decoded"),
        (
            "@query",
            "limit=10&start_date=2022-10-14T00:00:00Z",
            {},
            "as it is sent; @query lacks its",
        ),
        ("@query", "?a=b:c", {"target": "/x?a=b%3Ac"}, "percent-decoded"),
        ("@query", "?a=b%3Ac", {"target": "/x?a=b:c"}, "percent-encoded otherwise"),
        ("@query", "?a=b%20c", {"target": "/x?a=b+c"}, "space as %20, but it is sent as +"),
        ("@query", "?a=b+c", {"target": "/x?a=b%20c"}, "space as +, but it is sent as %20"),
        ("@query", "?a=b+c", {"target": "/x?a=b%2Bc"}, "@query"),
        ("@query", "?a=b%2Bc", {"target": "/x?a=b+c"}, "+ as %2B"),
        ("@query", "?a=2&b=1", {"target": "/x?b=1&a=2"}, "sorted"),
        ("@query", "?c=1&a=2&b=3", {"target": "/x?b=3&a=2&c=1"}, "another order"),
        ("@query", "?a=1&amp;b=2", {"target": "/x?a=1&b=2"}, "for HTML"),
        ("@query", "?", {}, "lone ?"),
        ("@query", "", {}, "@query is empty"),
        ("@query", f"{PATH}?{QUERY}", {}, "has the path in it"),
        ("accept", "*/*", {}, "another value"),
        ("content-type", "application/json; charset=utf-8", {}, "another value"),
        (
            "content-type",
            "application/json",
            {"headers": {"content-type": "application/json; charset=utf-8"}},
            "another value",
        ),
        ("content-length", str(len(BODY) - 1), {}, "counts characters, not bytes"),
        ("content-length", "0", {}, "content-length is 0"),
        (
            "content-digest",
            f"sha-256=:{base64.b64encode(hashlib.sha256(BODY).digest()).decode()}:",
            {},
            "that of SHA-256",
        ),
        ("content-digest", hashlib.sha512(BODY).hexdigest(), {}, "hexadecimal"),
        ("content-digest", "", {}, "still empty"),
        ("upvest-api-version", '"1"', {}, "in quotation marks"),
        ("idempotency-key", headers_of(b"")["idempotency-key"].upper(), {}, "in upper case"),
        ("upvest-client-id", " " + headers_of(b"")["upvest-client-id"], {}, "space in front"),
        ("upvest-client-id", "None", {}, "had no value yet"),
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT", {"headers": {"date": DATE}}, "make it once"),
        ("note", "a,b", {"headers": {"note": "a, b"}}, "joined without a space"),
        ("note", "a", {"headers": {"note": '"a"'}}, "lacks its quotation marks"),
        ("note", "Ã¤", {"headers": {"note": "ä"}}, "another encoding"),
        ("authorization", TOKEN, {}, "without Bearer in front"),
        ("authorization", f"bearer {TOKEN}", {}, "bearer in lower case"),
        ("authorization", "Bearer undefined", {}, "no token yet"),
        ("@authority", "127.0.0.1", {"extra": ["@authority"]}, "lacks the port"),
        ("@authority", "localhost:8080", {"extra": ["@authority"]}, "host's other name"),
        (
            "@authority",
            "x:80",
            {"extra": ["@authority"], "headers": {"host": "x"}},
            "has the default port",
        ),
        ("@scheme", "https", {"extra": ["@scheme"]}, "the scheme is https"),
        ("@target-uri", TARGET, {"extra": ["@target-uri"]}, "path and the query alone"),
        (
            "@request-target",
            f"post {TARGET}",
            {"extra": ["@request-target"]},
            "method in front",
        ),
    ],
)
def test_a_value_that_was_signed_differently_is_shown(
    name: str, signed: str, options: dict[str, Any], words: str
) -> None:
    text = ed(**options, values={name: signed})
    assert words in text
    expected = re.search(r"^expected: (.*)$", text, re.MULTILINE)
    found = re.search(r"^signed:   (.*)$", text, re.MULTILINE)
    assert expected is not None
    assert found is not None
    assert expected.group(1).startswith(f'"{name}": ')
    shown = {"authorization": "Bearer …", "note": "…"}.get(name, signed)
    assert found.group(1) == f'"{name}": {shown}'


def unquoted(base: str) -> str:
    return re.sub(r'^"([^"]+)":', r"\1:", base, flags=re.MULTILINE)


def last_line(change: Callable[[str], str]) -> Callable[[str], str]:
    def edit(base: str) -> str:
        head, _, last = base.rpartition("\n")
        return f"{head}\n{change(last)}"

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda base: base + "\n", "the base ends with a newline"),
        (unquoted, "as in draft 6"),
        (lambda base: last_line(lambda _: base.rpartition("\n")[2])(unquoted(base)), "draft 6"),
        (last_line(unquoted), "@signature-params without quotation marks"),
        (lambda base: base.rpartition("\n")[0], "the line of @signature-params is missing"),
        (last_line(lambda line: line.partition(": ")[2]), "the last line lacks its name"),
        (lambda base: base.replace("\n", "\r\n"), "lines end with CR LF"),
        (lambda base: base.replace("\n", "\r\n") + "\r\n", "lines end with CR LF"),
        (lambda base: base.replace("\n", "\\n"), "with a backslash and an n"),
        (last_line(lambda line: line.replace("(", "sig1=(", 1)), "has the label sig1= in it"),
        (lambda base: re.sub(r'(?m)^("[^"]+": )', lambda m: m[1][:-1], base), "no space"),
        (lambda base: base.replace('"accept":', '"Accept":').replace(
            '"authorization":', '"Authorization":').replace(
            '"content-type":', '"Content-Type":').replace(
            '"content-length":', '"Content-Length":').replace(
            '"content-digest":', '"Content-Digest":').replace(
            '"idempotency-key":', '"Idempotency-Key":').replace(
            '"upvest-client-id":', '"Upvest-Client-Id":').replace(
            '"upvest-api-version":', '"Upvest-Api-Version":'), "not in lower case"),
        (lambda base: base.replace('": ', '":  '), "two spaces after the colons"),
        (last_line(lambda line: re.sub(r"=(\d{10})", r"=\g<1>000", line)), "not that of"),
        (last_line(lambda line: line.replace("1700000030", "1700000033").replace(
            "1700000000", "1700000003")), "not that of signature-input"),
        (lambda base: "\n".join([base.rpartition("\n")[2], base.rpartition("\n")[0]]), "first"),
        (last_line(lambda line: line.replace(";", "; ")), "not that of signature-input"),
        (last_line(lambda line: line.partition(")")[0] + ")"), "not that of signature-input"),
        (last_line(lambda line: line.replace("1700000030", "1700000031").replace(
            "1700000000", "1700000001")), "not that of signature-input"),
        (last_line(lambda line: re.sub(r"=(\d+)", r'="\1"', line)), "not that of"),
        (last_line(lambda line: line + ';alg="ed25519"'), "it has alg in addition"),
        (last_line(lambda line: re.sub(r";expires=\d+", "", line)), "it lacks expires"),
        (last_line(lambda line: re.sub(r'(\);keyid="ed")(.*);(nonce=.*)', r"\1;\3\2", line)),
         "parameters stand in another order"),
        (lambda base: re.sub(r"(?m)^.*accept.*\n", "", base), 'no line for "accept"'),
        (lambda base: base.replace('\n"@signature-params', '\n"@scheme": http\n"@signature-params'),
         'a line for "@scheme", though'),
        (lambda base: "\n".join([
            *sorted(base.split("\n")[:-1]), base.split("\n")[-1]]), "in another order"),
        (lambda base: base.replace('"@method" "@path"', '"@path" "@method"'),
         "the key may be another one"),
    ],
)  # fmt: skip
def test_a_base_that_was_written_differently_is_recognised(
    edit: Callable[[str], str], words: str
) -> None:
    text = ed(edit_base=edit)
    assert words in text
    if "another one" not in words:
        assert "\nexpected: " in text
        assert "\nsigned:   " in text


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda base: hashlib.sha512(base.encode()).digest(), "SHA-512 digest was signed as if"),
        (lambda base: hashlib.sha512(base.encode()).hexdigest(), "hexadecimal SHA-512"),
        (lambda base: hashlib.sha256(base.encode()).digest(), "SHA-256 digest was signed"),
        (lambda base: base64.b64encode(base.encode()), "in base64"),
        (lambda base: base.rpartition('params": ')[2], "only the signature's parameters"),
        (lambda _: BODY, "only the body was signed"),
        (lambda _: "", "nothing was signed"),
    ],
)  # fmt: skip
def test_something_else_than_the_base_is_recognised(
    edit: Callable[[str], str | bytes], words: str
) -> None:
    assert words in ed(edit_base=edit)


@pytest.mark.parametrize("hash_", [hashes.SHA256(), hashes.SHA384()])
def test_a_wrong_hash_is_recognised(hash_: hashes.HashAlgorithm) -> None:
    text = refusal(make_message(hash=hash_))
    assert f"hashed with {hash_.name.upper()}: use ECDSA with SHA-512" in text


def test_two_slips_at_once_are_recognised() -> None:
    text = ed(values={"@query": QUERY}, edit_base=lambda base: base + "\n")
    assert "the base ends with a newline; and @query lacks its leading ?" in text
    text = ed(values={"@query": QUERY, "@method": "post"})
    assert "method is in lower case; and @query lacks its leading ?" in text
    assert text.count("expected: ") == text.count("signed:   ") == 2


def test_a_wrong_key_gets_the_whole_base() -> None:
    stranger = ec.generate_private_key(ec.SECP521R1())
    message = make_message(key=stranger, headers={"note": "a secret note", "date": "no date"})
    text = refusal(message)
    assert "a secret note" not in text
    lines = text.split("\n")[1:]
    assert lines[0] == '"@method": POST'
    assert lines[1] == f'"@path": {PATH}'
    assert '"authorization": Bearer …' in lines
    assert '"note": …' in lines
    assert lines[-1].startswith('"@signature-params": ("@method" "@path" "@query"')


def test_only_one_diagnosis_a_second_is_thorough() -> None:
    ticks = [0.0]
    verifier = make_verifier(lambda: ticks[0])

    def detail(now: float, **style: Any) -> str:
        values = {"@query": QUERY, "@method": "post"}
        slips = make_message(**{"values": values, "key": ED25519, "key_id": "ed", **style})
        ticks[0] = now
        with pytest.raises(SignatureRefusedError) as caught:
            verifier.verify(slips, token_request=False, now=NOW)
        return str(caught.value)

    assert "in lower case; and" in detail(NOW)
    assert "no likely slip (all are looked for once a second) explains" in detail(NOW + 0.5)
    assert "lacks its leading ?" in detail(NOW + 0.5, values={"@query": QUERY})
    newline = detail(NOW + 0.5, values={}, edit_base=lambda base: f"{base}\n")
    assert "ends with a newline" in newline
    assert "in lower case; and" in detail(NOW + 1)


def test_a_p521_client_is_diagnosed_as_well() -> None:
    assert "lacks its leading ?" in refusal(make_message(key=P521, values={"@query": QUERY}))


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 0001 00:00:00 +0000",
        "Tue, 20 Apr 2021 02:07:55 -0000",
        "Tue, 20 Apr 2021 02:07:55 +9999",
        "Tue, 20 Apr 2021 02:07:55 +0200",
        "Tue, 99 Apr 2021 02:07:55 GMT",
    ],
)
def test_dates_of_any_kind_do_no_harm(date: str) -> None:
    text = ed(headers={"date": date}, edit_base=lambda base: f"{base} and more")
    assert f'"date": {date}' in text


@given(
    name=st.sampled_from(["@path", "@query", "@authority", "@target-uri", *headers_of(BODY)]),
    value=st.text(st.characters(max_codepoint=255)),
    target=st.text(st.characters(max_codepoint=255)),
)
@settings(deadline=None)
def test_variants_are_made_of_anything(name: str, value: str, target: str) -> None:
    message = make_message(key=ED25519, key_id="ed", sent_target=f"/{target}", sent={"host": value})
    found = value_variants(message, name, value)
    values = [other for other, _ in found]
    assert value not in values
    assert len(set(values)) == len(values)
    for other, note in found:
        other.encode("latin-1")
        assert note
