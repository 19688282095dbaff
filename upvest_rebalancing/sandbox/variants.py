"""Values that clients are known to sign in place of a component's right one.

Each comes with words for what seems to have been done. The likeliest come first.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlencode

from upvest_rebalancing.sandbox.messages import Message

Variant = tuple[str, str]

_UNSET = ("None", "null", "undefined")
_DATE_SECONDS = (-1, 1, -2, 2)


def value_variants(message: Message, name: str, value: str) -> list[Variant]:
    """Return values that may have been signed in place of the right one.

    Args:
        message: The request.
        name: The component's name.
        value: Its right value.

    Returns:
        Pairs of a value and of what seems to have been done, without repeats.
    """
    if name.startswith("@"):
        found = _derived(message, name, value)
    else:
        found = (*_header(message, name, value), *_any_header(value))
    distinct: dict[str, str] = {}
    for other, note in found:
        if other != value:
            distinct.setdefault(other, note)
    return list(distinct.items())


def _derived(message: Message, name: str, value: str) -> Iterable[Variant]:
    if name == "@method":
        return ((_lower(value), "the method is in lower case"),)
    if name == "@path":
        return _path(message, value)
    if name == "@query":
        return _query(message)
    if name == "@authority":
        return _authority(value)
    if name == "@scheme":
        return (("https", "the scheme is https, but this server speaks http"),)
    return _whole_target(message, name)


def _path(message: Message, value: str) -> Iterator[Variant]:
    plain = _decoded(value)
    yield f"{value}?{message.query}", "@path has the query in it, which belongs to @query"
    yield f"{value}{message.query}", "@path has the query in it, which belongs to @query"
    yield plain, "@path is percent-decoded; sign it as it is sent"
    yield _encoded(value, "/"), "@path is percent-encoded twice"
    yield _encoded(plain, "/"), "@path is percent-encoded otherwise than it is sent"
    yield _encoded(plain, "/:"), "@path is percent-encoded otherwise than it is sent"
    yield _encoded(plain, ""), "@path has its slashes percent-encoded"
    yield f"{value}/", "@path has a slash at its end"
    yield value.rstrip("/") or "/", "@path lacks the slash at its end"
    yield value.removeprefix("/"), "@path lacks its leading slash"
    yield f"/{value}", "@path has its leading slash doubled"
    yield f"http://{message.authority}{value}", "@path is the whole URL"
    yield _lower(value), "@path is in lower case"
    yield _upper(value), "@path is in upper case"
    yield "", "@path is empty"
    yield "/", "@path is that of the base URL alone"


def _query(message: Message) -> Iterator[Variant]:
    query = message.query
    otherwise = "@query is percent-encoded otherwise than it is sent"
    decoded = "@query is percent-decoded; sign it as it is sent"
    bare = "@query lacks its leading ?"
    yield query, bare
    values = [
        (_decoded(query), decoded),
        (unquote_plus(query, "latin-1"), decoded),
        (query.replace("+", "%20"), "@query has a space as %20, but it is sent as +"),
        (query.replace("%20", "+"), "@query has a space as +, but it is sent as %20"),
        (query.replace("%2B", "+").replace("%2b", "+"), "@query has + undone from %2B"),
        (query.replace("+", "%2B"), "@query has + as %2B, but it is sent as it is"),
        *((written, otherwise) for written in _rewritten(query)),
        ("&".join(sorted(query.split("&"))), "@query has its parameters sorted"),
        ("&".join(reversed(query.split("&"))), "@query has its parameters in another order"),
        (query.replace("&", "&amp;"), "@query has & written for HTML"),
        (_lower(query), "@query is in lower case"),
    ]
    for value, note in values:
        yield f"?{value}", note
    for value, note in values:
        yield value, f"{note}; {bare}"
    yield "", "@query is empty"
    yield "?", "@query is a lone ?"
    yield f"{message.path}?{query}", "@query has the path in it"


def _rewritten(query: str) -> Iterator[str]:
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    for safe in ("", ":", ":/", ":+", ":,", "/:+,@-._~!$'()*;"):
        for quoter in (quote_plus, quote):
            yield urlencode(pairs, safe=safe, encoding="latin-1", quote_via=quoter)


def _authority(value: str) -> Iterator[Variant]:
    host, _, port = value.rpartition(":")
    if not host or "]" in port:
        host, port = value, ""
    yield host, "@authority lacks the port"
    yield f"{host}:80", "@authority has the default port"
    yield f"{host}:443", "@authority has another port"
    for other in ("localhost", "127.0.0.1", "[::1]"):
        yield f"{other}:{port}", "@authority has the host's other name"
    yield _upper(value), "@authority is in upper case"
    yield f"http://{value}", "@authority has the scheme in front"


def _whole_target(message: Message, name: str) -> Iterator[Variant]:
    target, authority = message.origin_target, message.authority
    yield target, f"{name} is the path and the query alone"
    yield message.path, f"{name} is the path alone"
    yield f"http://{authority}{target}", f"{name} is the whole URL"
    yield f"http://{authority}{message.path}", f"{name} lacks the query"
    yield f"https://{authority}{target}", f"{name} has the scheme https"
    yield f"{message.method.lower()} {target}", f"{name} has the method in front"


def _header(message: Message, name: str, value: str) -> Iterable[Variant]:
    if name == "content-digest":
        return _digest(message.body)
    if name == "content-length":
        characters = len(message.body.decode("utf-8", "replace"))
        return (
            (str(characters), "content-length counts characters, not bytes"),
            ("0", "content-length is 0"),
        )
    if name == "authorization":
        return _authorization(value)
    if name == "date":
        return _date(value)
    others = {
        "accept": ("*/*", "application/json, text/plain, */*", "application/json, */*"),
        "content-type": (
            f"{value}; charset=utf-8",
            f"{value};charset=utf-8",
            f"{value}; charset=UTF-8",
            value.partition(";")[0].rstrip(),
            "application/octet-stream",
            "text/plain",
        ),
        "upvest-api-version": ("v1", "1.0", "15"),
        "idempotency-key": (value.replace("-", ""), f"{{{value}}}"),
        "upvest-client-id": (value.replace("-", ""), f"{{{value}}}"),
    }
    note = f"{name} had another value when it was signed than when it was sent"
    return ((other, note) for other in others.get(name, ()))


def _digest(body: bytes) -> Iterator[Variant]:
    long, short = hashlib.sha512(body), hashlib.sha256(body)
    whole = base64.b64encode(long.digest()).decode()
    brief = base64.b64encode(short.digest()).decode()
    note = "content-digest is written otherwise than it is sent"
    yield f"sha-256=:{brief}:", "content-digest is that of SHA-256, but SHA-512 is sent"
    yield f"SHA-256={brief}", "content-digest has the form of the older digest header"
    yield f"sha-512={whole}", "content-digest lacks the colons around the base64"
    yield f"SHA-512={whole}", "content-digest has the form of the older digest header"
    yield whole, "content-digest is the bare base64"
    yield f":{whole}:", "content-digest lacks its sha-512="
    yield f"sha-512=:{long.hexdigest()}:", "content-digest is hexadecimal, not base64"
    yield long.hexdigest(), "content-digest is hexadecimal, not base64"
    empty = base64.b64encode(hashlib.sha512(b"").digest()).decode()
    yield f"sha-512=:{empty}:", "content-digest is that of an empty body"
    yield f"sha-512=:{whole.rstrip('=')}:", f"{note}: without the padding"


def _authorization(value: str) -> Iterator[Variant]:
    token = value.partition(" ")[2]
    yield token, "authorization is the token without Bearer in front"
    yield f"bearer {token}", "authorization has bearer in lower case"
    yield f"Bearer  {token}", "authorization has two spaces after Bearer"
    yield "Bearer", "authorization has no token yet when it is signed"
    for unset in ("", *_UNSET):
        yield f"Bearer {unset}", "authorization has no token yet when it is signed"


def _date(value: str) -> list[Variant]:
    note = "date is another one than the one sent: make it once, sign and send the same"
    try:
        moment = parsedate_to_datetime(value)
        shifted = [moment + timedelta(seconds=seconds) for seconds in _DATE_SECONDS]
        stamp = str(int(moment.timestamp()))
    except (ValueError, OverflowError):
        return []
    dates = [format_datetime(other, usegmt=other.tzname() == "UTC") for other in shifted]
    return [(other, note) for other in (*dates, moment.strftime("%Y-%m-%dT%H:%M:%SZ"), stamp)]


def _any_header(value: str) -> Iterator[Variant]:
    yield f" {value}", "the value has a space in front"
    yield f"{value} ", "the value has a space at its end"
    yield _lower(value), "the value is in lower case"
    yield _upper(value), "the value is in upper case"
    yield f'"{value}"', "the value is in quotation marks"
    yield value.strip('"'), "the value lacks its quotation marks"
    yield value.replace(", ", ","), "the lines of the header are joined without a space"
    yield "", "the header was still empty when it was signed"
    for unset in _UNSET:
        yield unset, "the header had no value yet when it was signed"
    if (read_as_utf8 := _as_utf8(value)) is not None:
        yield read_as_utf8, "the value is in another encoding than the one sent"


def _as_utf8(value: str) -> str | None:
    return None if value.isascii() else value.encode("utf-8").decode("latin-1")


def _lower(text: str) -> str:
    # ASCII alone: other letters may have their counterparts outside of Latin-1.
    return text.encode("latin-1").lower().decode("latin-1")


def _upper(text: str) -> str:
    return text.encode("latin-1").upper().decode("latin-1")


def _decoded(text: str) -> str:
    return unquote(text, "latin-1")


def _encoded(text: str, safe: str) -> str:
    return quote(text, safe=safe, encoding="latin-1")
