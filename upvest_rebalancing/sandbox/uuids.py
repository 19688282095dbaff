"""UUIDs as the API writes and takes them."""

import re
from uuid import UUID

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_uuid(text: object) -> bool:
    """Tell whether something is a UUID in the hyphenated form.

    Args:
        text: Anything.
    """
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def canonical_uuid(value: UUID | str, name: str) -> str:
    """Return a UUID in lower case.

    Args:
        value: The UUID.
        name: What it is called, for the message.

    Raises:
        ValueError: It is no UUID in the hyphenated form.
    """
    text = str(value) if isinstance(value, UUID) else value
    if not is_uuid(text):
        message = f"{name}={value!r}: must be a UUID with hyphens"
        raise ValueError(message)
    return text.lower()
