"""What a signature says it covers, and the parameters that it comes with."""

from collections.abc import Mapping

import attrs

from upvest_rebalancing.sandbox.components import (
    BODY_HEADERS,
    ComponentError,
    Lines,
    component_value,
    required_components,
)
from upvest_rebalancing.sandbox.fields import Bare, FieldError, Member, Token, parse_dictionary
from upvest_rebalancing.sandbox.messages import Message

_HINTS = {
    "signature": "it has to look like sig1=:<base64>:",
    "signature-input": 'it has to look like sig1=("@method" "@path");keyid="…";created=1',
}


class SignatureRefusedError(Exception):
    """Refuse a signature; the message says what is wrong with it."""


@attrs.frozen
class SignatureParameters:
    """The parameters of a signature that count here.

    Attributes:
        key_id: The key that it was made with.
        nonce: What makes it unique.
        created: From when it is good, in Unix seconds.
        expires: Until when it is good, in Unix seconds.
    """

    key_id: str
    nonce: str
    created: int
    expires: int


def signature_field(message: Message, name: str) -> dict[str, Member]:
    """Read one of the two headers of a signature.

    Args:
        message: The request.
        name: `signature-input` or `signature`.

    Raises:
        SignatureRefusedError: The header is missing or malformed.
    """
    text = message.header(name)
    if not text:
        raise SignatureRefusedError(f"the header {name} is missing")
    try:
        return parse_dictionary(text)
    except FieldError as error:
        # What was found is left out where it may be a part of the signature.
        problem = error.problem if name == "signature" else str(error)
        text = f"{name} cannot be read: {problem}; {_HINTS[name]}"
        raise SignatureRefusedError(text) from None


def covered_lines(message: Message, covered: Member) -> Lines:
    """Return the covered components with the values that they have in the request.

    Args:
        message: The request.
        covered: The member of `signature-input`.

    Raises:
        SignatureRefusedError: A component cannot be covered.
    """
    if not isinstance(covered.value, tuple):
        text = 'signature-input must be a list of components, as in sig1=("@method" "@path")'
        raise SignatureRefusedError(text)
    lines: dict[str, str] = {}
    for item in covered.value:
        name = item.value
        if not isinstance(name, str) or isinstance(name, Token):
            text = f"the covered component {name!r} must be written in quotation marks"
            raise SignatureRefusedError(text)
        if item.parameters:
            text = (
                f'the covered component "{name}" has the parameter '
                f"{', '.join(item.parameters)}: parameters of components are not taken"
            )
            raise SignatureRefusedError(text)
        if name in lines:
            raise SignatureRefusedError(f'the component "{name}" is covered more than once')
        try:
            lines[name] = component_value(message, name)
        except ComponentError as error:
            raise SignatureRefusedError(str(error)) from error
    return tuple(lines.items())


def check_coverage(message: Message, lines: Lines, *, token_request: bool) -> None:
    """Check that all that has to be covered is.

    Args:
        message: The request.
        lines: The covered components.
        token_request: Whether it asks for a token, and so needs no `authorization`.

    Raises:
        SignatureRefusedError: A component is not covered.
    """
    covered = {name for name, _ in lines}
    required = required_components(message, token_request=token_request)
    missing = [name for name in required if name not in covered]
    if not missing:
        return
    names = ", ".join(f'"{name}"' for name in missing)
    text = f"the signature does not cover {names}"
    unsent = [name for name in missing if name in BODY_HEADERS and message.header(name) is None]
    if unsent:
        text += f"; a request with a body has to carry the header {', '.join(unsent)}"
    raise SignatureRefusedError(text)


def checked_parameters(given: Mapping[str, Bare]) -> SignatureParameters:
    """Return the parameters of a signature.

    Args:
        given: All of them.

    Raises:
        SignatureRefusedError: One is missing or of the wrong type.
    """
    return SignatureParameters(
        key_id=_text(given, "keyid"),
        nonce=_text(given, "nonce"),
        created=_seconds(given, "created"),
        expires=_seconds(given, "expires"),
    )


def _text(given: Mapping[str, Bare], name: str) -> str:
    value = given.get(name)
    if value is None:
        raise SignatureRefusedError(f"signature-input has no parameter {name}")
    if not isinstance(value, str) or isinstance(value, Token) or not value:
        text = f"the parameter {name} must be a quoted string that is not empty, not {value!r}"
        raise SignatureRefusedError(text)
    return value


def _seconds(given: Mapping[str, Bare], name: str) -> int:
    value = given.get(name)
    if value is None:
        raise SignatureRefusedError(f"signature-input has no parameter {name}")
    if not isinstance(value, int) or isinstance(value, bool):
        text = f"the parameter {name} must be whole Unix seconds without quotes, not {value!r}"
        raise SignatureRefusedError(text)
    return value
