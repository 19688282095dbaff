"""Ways in which clients are known to write the whole signature base otherwise than it should be."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from upvest_rebalancing.sandbox.components import (
    DERIVABLE,
    ComponentError,
    Lines,
    component_value,
)
from upvest_rebalancing.sandbox.messages import Message

_PARAMETERS: Final = '"@signature-params": '
_PART: Final = re.compile(r';[^;"=]+(?:=(?:"(?:[^"\\]|\\.)*"|[^;"]*))?')
_MOST_PERMUTED: Final = 4


@attrs.frozen
class Layout:
    """A signature base as it may have been written.

    Attributes:
        text: The base.
        note: What seems to have been done.
        common: Whether it is worth trying together with another slip.
    """

    text: str
    note: str
    common: bool = False


def written(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines of components as they should be written.

    Args:
        lines: Pairs of a component's name and its value.
    """
    return [f'"{name}": {value}' for name, value in lines]


def right_base(lines: Sequence[tuple[str, str]], parameters: str) -> str:
    """Return the base as it should be.

    Args:
        lines: Pairs of a component's name and its value.
        parameters: The covered list with its parameters.
    """
    return "\n".join([*written(lines), _PARAMETERS + parameters])


def layouts(message: Message, lines: Lines, parameters: str, label: str) -> Iterator[Layout]:
    """Yield bases that may have been signed in place of the right one.

    Args:
        message: The request.
        lines: The covered components with their values.
        parameters: The covered list with its parameters.
        label: The signature's label.
    """
    yield from _writings(lines, parameters, label)
    yield from _other_parameters(lines, parameters)
    yield from _other_lines(message, lines, parameters)
    yield from _orders(lines, parameters)


def common_layouts(lines: Lines, parameters: str, label: str) -> list[Layout]:
    """Return the layouts that are worth trying together with another slip.

    Args:
        lines: The covered components with their values.
        parameters: The covered list with its parameters.
        label: The signature's label.
    """
    return [layout for layout in _writings(lines, parameters, label) if layout.common]


def _writings(lines: Lines, parameters: str, label: str) -> Iterator[Layout]:
    right = right_base(lines, parameters)
    quoted = written(lines)
    bare = [f"{name}: {value}" for name, value in lines]
    bare_parameters = f"@signature-params: {parameters}"
    yield Layout(f"{right}\n", "the base ends with a newline", common=True)
    draft = "component names stand without quotation marks, as in draft 6"
    yield Layout("\n".join([*bare, bare_parameters]), draft, common=True)
    yield Layout("\n".join([*bare, _PARAMETERS + parameters]), draft, common=True)
    yield Layout(
        "\n".join([*quoted, bare_parameters]),
        "the last line has @signature-params without quotation marks",
        common=True,
    )
    yield Layout("\n".join(quoted), "the line of @signature-params is missing", common=True)
    yield Layout("\n".join([*quoted, parameters]), "the last line lacks its name")
    yield Layout(right.replace("\n", "\r\n"), "lines end with CR LF", common=True)
    yield Layout(right.replace("\n", "\r\n") + "\r\n", "lines end with CR LF")
    yield Layout(right.replace("\n", "\\n"), "lines end with a backslash and an n")
    yield Layout(
        "\n".join([*quoted, f"{_PARAMETERS}{label}={parameters}"]),
        f"the line of @signature-params has the label {label}= in it",
        common=True,
    )
    tight = [f'"{name}":{value}' for name, value in lines]
    yield Layout(
        "\n".join([*tight, f'"@signature-params":{parameters}']),
        "there is no space after the colons",
    )
    wide = [f'"{name}":  {value}' for name, value in lines]
    for last in (": ", ":  "):
        yield Layout(
            "\n".join([*wide, f'"@signature-params"{last}{parameters}']),
            "there are two spaces after the colons",
        )
    titled = [
        f'"{name if name.startswith("@") else name.title()}": {value}' for name, value in lines
    ]
    yield Layout(
        "\n".join([*titled, _PARAMETERS + parameters]), "header names are not in lower case"
    )
    yield Layout(
        "\n".join([_PARAMETERS + parameters, *quoted]),
        "the line of @signature-params stands first",
    )


def _other_parameters(lines: Lines, parameters: str) -> Iterator[Layout]:
    listed, closing, rest = parameters.partition(")")
    listed += closing
    parts = _PART.findall(rest)
    note = "the line of @signature-params is not that of signature-input"
    others = [
        listed + "".join(part.replace(";", "; ", 1) for part in parts),
        listed.replace('"', "") + rest,
        listed.replace(" ", ", ") + rest,
        listed + re.sub(r"=(\d+)", r'="\1"', rest),
        listed + re.sub(r"(created|expires)=(\d+)", r"\1=\g<2>000", rest),
        *(
            listed + re.sub(r'(created|expires)="?(\d+)"?', _shifted(seconds), rest)
            for seconds in (-1, 1, -2, 2, -3, 3)
        ),
        listed,
    ]
    for text in others:
        yield Layout("\n".join([*written(lines), _PARAMETERS + text]), note)
    for alg in ("ecdsa-p521-sha512", "ed25519", "hs2019"):
        text = f'{parameters};alg="{alg}"'
        yield Layout(
            "\n".join([*written(lines), _PARAMETERS + text]), f"{note}: it has alg in addition"
        )
    for index, part in enumerate(parts):
        text = listed + "".join([*parts[:index], *parts[index + 1 :]])
        yield Layout(
            "\n".join([*written(lines), _PARAMETERS + text]),
            f"{note}: it lacks {part[1:].partition('=')[0]}",
        )
    for permuted in itertools.permutations(parts[:_MOST_PERMUTED]):
        text = listed + "".join([*permuted, *parts[_MOST_PERMUTED:]])
        yield Layout(
            "\n".join([*written(lines), _PARAMETERS + text]),
            f"{note}: its parameters stand in another order",
        )


def _shifted(seconds: int) -> "_Shift":
    return _Shift(seconds)


@attrs.frozen
class _Shift:
    """A replacement that shifts a time parameter by some seconds."""

    seconds: int

    def __call__(self, found: re.Match[str]) -> str:
        return f"{found.group(1)}={int(found.group(2)) + self.seconds}"


def _other_lines(message: Message, lines: Lines, parameters: str) -> Iterator[Layout]:
    for index, (name, _) in enumerate(lines):
        yield Layout(
            right_base((*lines[:index], *lines[index + 1 :]), parameters),
            f'there is no line for "{name}", though signature-input lists it',
        )
    covered = {name for name, _ in lines}
    names = [*sorted(DERIVABLE), *dict.fromkeys(name for name, _ in message.headers)]
    for name in names:
        if name in covered:
            continue
        try:
            value = component_value(message, name)
        except ComponentError:
            continue
        yield Layout(
            right_base((*lines, (name, value)), parameters),
            f'there is a line for "{name}", though signature-input does not list it',
        )


def _orders(lines: Lines, parameters: str) -> Iterator[Layout]:
    derived = [line for line in lines if line[0].startswith("@")]
    headers = [line for line in lines if not line[0].startswith("@")]
    orders = (
        sorted(lines),
        [*derived, *headers],
        [*derived, *sorted(headers)],
        [*headers, *derived],
        lines[::-1],
    )
    rest = parameters.partition(")")[2]
    for order in orders:
        yield Layout(
            right_base(order, parameters),
            "the lines stand in another order than in signature-input",
        )
        listed = " ".join(f'"{name}"' for name, _ in order)
        yield Layout(
            right_base(order, f"({listed}){rest}"),
            "signature-input lists the components in another order than they were signed in",
        )
