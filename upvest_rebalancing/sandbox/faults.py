"""One fault: what goes wrong, where, and how often; and the notation for it."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self, TypeVar, cast

import attrs

from upvest_rebalancing.sandbox.kinds import KINDS, FaultKind, KindSpec, RouteName
from upvest_rebalancing.sandbox.validators import Field, one_of, real, refuse, whole

_T = TypeVar("_T")
_PLANNING: Final = ("route", "count", "probability", "after", "every")
_STATUSES: Final = ("NEW", "PROCESSING", "FILLED", "CANCELLED")
_WHOLE_NAMES: Final = frozenset({"count", "after", "every", "value"})
_REAL_NAMES: Final = frozenset({"probability", "seconds"})


def _kind(value: FaultKind | str) -> FaultKind:
    try:
        return FaultKind(value)
    except ValueError:
        raise ValueError(_unknown("kind", str(value), [kind.value for kind in FaultKind])) from None


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    meant = f"; was {near[0]!r} meant?" if near else ""
    return f"{what} {name!r}: must be one of {', '.join(names)}{meant}"


def _default(name: str, absent: _T) -> Callable[["Fault"], _T]:
    def default(fault: "Fault") -> _T:
        return cast("_T", KINDS[fault.kind].parameters.get(name, absent))

    return default


def _route(instance: object, attribute: Field, value: object) -> None:
    kind = cast("Fault", instance).kind
    routes = KINDS[kind].routes
    if value is not None and value not in routes:
        wanted = " or ".join(repr(route) for route in routes)
        refuse(attribute, value, f"{wanted} for {kind.value}")


def _value(instance: object, attribute: Field, value: object) -> None:
    spec = KINDS[cast("Fault", instance).kind]
    if "value" in spec.parameters:
        low, high = spec.values
        whole(low, high, f"see {cast('Fault', instance).kind.value}")(instance, attribute, value)


def _text(instance: object, attribute: Field, value: object) -> None:
    name = attribute.name
    spec = KINDS[cast("Fault", instance).kind]
    if name not in spec.parameters or (value is None and spec.parameters[name] is None):
        return
    if not isinstance(value, str) or not value or not (value.isascii() and value.isprintable()):
        refuse(attribute, value, "a text of printable ASCII, and not empty")


def _replaced(instance: object, attribute: Field, value: object) -> None:
    if attribute.name in KINDS[cast("Fault", instance).kind].parameters:
        one_of(*_STATUSES)(instance, attribute, value)


@attrs.frozen
class Fault:
    """A fault; see `FaultKind` for what the kinds do and which parameters they take.

    Of the requests to its route, it lets the first `after` pass. Of the others every `every`-th is
    due, and a due one is struck by chance, until `count` were struck. Requests that something else
    refuses or strikes before are not counted among them.

    Attributes:
        kind: What goes wrong; its name will do.
        route: The only route that is struck: `token`, `trigger`, `execution`, `orders` or
            `verify_keys`. None for all that this kind can strike.
        count: How many requests are struck, at most. None for no end.
        probability: The chance with which a due request is struck, from 0 to 1.
        after: How many requests pass before.
        every: 1 for each of the requests after that, 2 for each second one, and so on.
        value: The number that the kind takes: a status, a percentage, a number of rows.
        seconds: The seconds that the kind takes.
        retry_after: For errors: the text of the header, such as `3` or `soon`; `date` stands for
            the date that lies `seconds` ahead. None for no such header.
        location: For a redirect: where to.
        content_type: For a wrong content type: which.
        status: For unknown enum values: the orders' status.
        replaces: For unknown enum values: the status that `status` replaces.
        reason: For unknown enum values: the cancellation reason of cancelled orders.

    Raises:
        ValueError: A value cannot be, or the kind does not take it; says what would be right.
    """

    kind: FaultKind = attrs.field(converter=_kind)
    route: RouteName | None = attrs.field(default=None, kw_only=True, validator=_route)
    count: int | None = attrs.field(
        default=None, kw_only=True, validator=whole(0, None, "requests", optional=True)
    )
    probability: float = attrs.field(default=1.0, kw_only=True, validator=real(0, 1, "a chance"))
    after: int = attrs.field(default=0, kw_only=True, validator=whole(0, None, "requests"))
    every: int = attrs.field(default=1, kw_only=True, validator=whole(1, None, "requests"))
    value: int = attrs.field(
        default=attrs.Factory(_default("value", 0), takes_self=True),
        kw_only=True,
        validator=_value,
    )
    seconds: float = attrs.field(
        default=attrs.Factory(_default("seconds", 0.0), takes_self=True),
        kw_only=True,
        validator=real(0, 86_400, "seconds"),
    )
    retry_after: str | None = attrs.field(
        default=attrs.Factory(_default("retry_after", None), takes_self=True),
        kw_only=True,
        validator=_text,
    )
    location: str = attrs.field(
        default=attrs.Factory(_default("location", ""), takes_self=True),
        kw_only=True,
        validator=_text,
    )
    content_type: str = attrs.field(
        default=attrs.Factory(_default("content_type", ""), takes_self=True),
        kw_only=True,
        validator=_text,
    )
    status: str = attrs.field(
        default=attrs.Factory(_default("status", ""), takes_self=True),
        kw_only=True,
        validator=_text,
    )
    replaces: str = attrs.field(
        default=attrs.Factory(_default("replaces", ""), takes_self=True),
        kw_only=True,
        validator=_replaced,
    )
    reason: str = attrs.field(
        default=attrs.Factory(_default("reason", ""), takes_self=True),
        kw_only=True,
        validator=_text,
    )

    def __attrs_post_init__(self) -> None:
        given = [name for name in _parameters() if getattr(self, name) != _absent(name)]
        _check_names(self.kind, given)

    @property
    def spec(self) -> KindSpec:
        """What is known of its kind."""
        return KINDS[self.kind]

    def strikes_at(self, route: str) -> bool:
        """Tell whether a route is among those that it can strike.

        Args:
            route: The route's name.
        """
        return route in self.spec.routes if self.route is None else route == self.route

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a fault in its notation: `KIND` or `KIND:NAME=VALUE,NAME=VALUE`.

        Args:
            text: Such as `reset-after-work:route=trigger,count=3`.

        Raises:
            ValueError: It is no fault; says what is wrong and what would be right.
        """
        kind_name, colon, rest = text.partition(":")
        kind = _kind(kind_name.strip())
        values: dict[str, object] = {}
        for part in rest.split(",") if colon else ():
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not name:
                message = f"{part!r} in {text!r}: must be NAME=VALUE, with commas between several"
                raise ValueError(message)
            if name in values:
                message = f"{name} in {text!r}: must be given only once"
                raise ValueError(message)
            values[name] = _read(name, value)
        _check_names(kind, values)
        return cls.from_document({"kind": kind, **values})

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Self:
        """Make a fault of a JSON object's members.

        Args:
            document: The arguments by their names, `kind` among them.

        Raises:
            ValueError: It is no fault; says what is wrong and what would be right.
        """
        members = dict(document)
        kind = _kind(str(members.pop("kind", "")))
        _check_names(kind, members)
        arguments: dict[str, Any] = members
        return cls(kind, **arguments)

    def document(self) -> dict[str, object]:
        """Return its kind and what differs from the kind's defaults, as `from_document` takes it.

        Returns:
            Values that JSON can carry.
        """
        plain = Fault(self.kind)
        names = (*_PLANNING, *self.spec.parameters)
        differing = {
            name: getattr(self, name)
            for name in names
            if getattr(self, name) != getattr(plain, name)
        }
        return {"kind": self.kind.value, **differing}

    def __str__(self) -> str:
        document = self.document()
        kind = document.pop("kind")
        values = ",".join(f"{name}={value}" for name, value in document.items())
        return f"{kind}:{values}" if values else str(kind)


def _read(name: str, value: str) -> object:
    try:
        if name in _WHOLE_NAMES:
            return int(value)
        if name in _REAL_NAMES:
            return float(value)
    except ValueError:
        wanted = "a whole number" if name in _WHOLE_NAMES else "a number"
        message = f"{name}={value!r}: must be {wanted}"
        raise ValueError(message) from None
    return value


def _check_names(kind: FaultKind, names: Iterable[str]) -> None:
    known = (*_PLANNING, *KINDS[kind].parameters)
    for name in names:
        if name not in known:
            raise ValueError(_unknown(f"{kind.value}:", name, known))


def _parameters() -> list[str]:
    names = [field.name for field in attrs.fields(Fault)]
    return [name for name in names if name != "kind" and name not in _PLANNING]


def _absent(name: str) -> object:
    if name in _WHOLE_NAMES:
        return 0
    if name in _REAL_NAMES:
        return 0.0
    return None if name == "retry_after" else ""
