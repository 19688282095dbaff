"""The digest of a body, as `content-digest` carries it (RFC 9530)."""

import base64
import hashlib
import json

from upvest_rebalancing.sandbox.fields import FieldError, parse_dictionary
from upvest_rebalancing.sandbox.messages import compact_json


def content_digest(body: bytes) -> str:
    """Return the value that `content-digest` has to have for a body.

    Args:
        body: The body's bytes, as sent.
    """
    return f"sha-512=:{base64.b64encode(hashlib.sha512(body).digest()).decode()}:"


def digest_problem(header: str, body: bytes) -> str | None:
    """Say what is wrong with a `content-digest`.

    Args:
        header: The header's value.
        body: The body's bytes, as received.

    Returns:
        A description with the expected and the received value, or None if all is well.
    """
    try:
        member = parse_dictionary(header).get("sha-512")
    except FieldError as error:
        return _described(f"content-digest cannot be read: {error}", header, body)
    if member is None:
        return _described("content-digest has no sha-512 digest", header, body)
    if not isinstance(member.value, bytes):
        problem = "the sha-512 digest must be base64 between colons"
        return _described(problem, header, body)
    if member.value == hashlib.sha512(body).digest():
        return None
    problem = "content-digest is not the digest of the body"
    if guess := _guess(member.value, body):
        problem += f": {guess}"
    return _described(problem, header, body)


def _described(problem: str, header: str, body: bytes) -> str:
    return f"{problem}\nexpected: {content_digest(body)}\ngot:      {header}"


def _guess(digest: bytes, body: bytes) -> str | None:
    if digest == hashlib.sha256(body).digest():
        return "it is a SHA-256 digest under the name of sha-512"
    if digest == hashlib.sha512(body).hexdigest().encode():
        return "it is the digest's hexadecimal form in base64; encode the digest's bytes"
    if digest == hashlib.sha512(b"").digest():
        return "it is the digest of an empty body"
    candidates = [(body + b"\n", "with a newline at its end"), (body.strip(), "stripped")]
    try:
        content = json.loads(body)
    except ValueError:
        pass
    else:
        spaced = json.dumps(content).encode()
        candidates += [
            (compact_json(content), "written without white space"),
            (spaced, "written with a space after commas and colons"),
            (json.dumps(content, sort_keys=True).encode(), "written with sorted members"),
            (json.dumps(content, indent=2).encode(), "written with indentation"),
        ]
    for candidate, description in candidates:
        if digest == hashlib.sha512(candidate).digest():
            return (
                f"it is that of the body {description}; "
                "serialise once, and sign and send the same bytes"
            )
    return None
