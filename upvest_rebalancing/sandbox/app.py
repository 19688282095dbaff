"""The aiohttp shell around the service: sockets, bytes and request ids, and no decisions."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler, Middleware

from upvest_rebalancing.sandbox.controls import CONTROL_PREFIX, wrong_method
from upvest_rebalancing.sandbox.counters import Status
from upvest_rebalancing.sandbox.deliveries import Manner
from upvest_rebalancing.sandbox.doorway import Refuse, Unread
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.problems import ProblemError, problem_answer
from upvest_rebalancing.sandbox.routes import find_route
from upvest_rebalancing.sandbox.secrecy import scrubbed
from upvest_rebalancing.sandbox.service import Service
from upvest_rebalancing.sandbox.wire import Wire, response_of

logger = logging.getLogger("upvest_rebalancing.sandbox")

_MOST_BODY_BYTES: Final = 64 * 2**20
_FIRST_SERVER_ERROR: Final = 500
_REQUEST_ID: Final = web.RequestKey("request_id", str)
_COUNTED: Final = web.RequestKey("counted", bool)


def make_app(
    service: Service, clock: Callable[[], float], *, middlewares: Sequence[Middleware] = ()
) -> web.Application:
    """Return an application that serves the API.

    Args:
        service: What answers.
        clock: The true time in Unix seconds.
        middlewares: What stands between the request ids and counters on the outside and the
            service on the inside; none by default.
    """
    wire = Wire()

    def count(request: web.Request, status: Status) -> None:
        path = _message(request, b"").path
        if not request.get(_COUNTED, False) and not path.startswith(CONTROL_PREFIX):
            request[_COUNTED] = True
            found = find_route(path)
            service.tally.answered(found[0].name if found else "unknown", status)

    @web.middleware
    async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_REQUEST_ID] = str(uuid.uuid4())
        message = _message(request, b"")
        service.arrived(message)
        try:
            response = await _guarded(request, handler, service, message)
        except asyncio.CancelledError:
            count(request, "left")
            raise
        count(request, response.status)
        return response

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except (ConnectionError, web.RequestPayloadError) as error:
            raise ProblemError(400, "the body broke off before its end") from error
        delivery = service.answer(_message(request, body), clock())
        if delivery.manner is not Manner.WHOLE:
            # Now, as the end of it may be far away.
            count(request, delivery.counted_as or delivery.answer.status)
        return await wire.send(request, delivery)

    app = web.Application(middlewares=[outermost, *middlewares], client_max_size=_MOST_BODY_BYTES)
    app.router.add_route("*", "/{path:(?s:.*)}", answer, expect_handler=_expecting(count))
    app.on_response_prepare.append(_stamp(service, clock))
    app.on_shutdown.append(wire.close)
    return app


def _expecting(
    count: Callable[[web.Request, Status], None],
) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    async def expected(request: web.Request) -> web.Response | None:
        if request.version < HttpVersion11:
            return None
        if request.headers["expect"].lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # As the server does it: the answer has not begun by that.
            request.writer.output_size = 0
            return None
        request[_REQUEST_ID] = str(uuid.uuid4())
        problem = ProblemError(417, "the header expect may be nothing but 100-continue")
        count(request, problem.status)
        return response_of(problem_answer(problem, request_id=request[_REQUEST_ID]))

    return expected


def make_refuse(service: Service, clock: Callable[[], float]) -> Refuse:
    """Return what answers a request that could not be read.

    Args:
        service: What answers the others.
        clock: The true time in Unix seconds.
    """

    def refuse(unread: Unread) -> web.StreamResponse:
        found = find_route(Message(unread.method, unread.target).path) if unread.target else None
        if found is not None:
            problem = wrong_method(Message(unread.method, unread.target), found[0].method)
        elif unread.target:
            problem = ProblemError(404, "there is nothing at this target")
        elif unread.status < _FIRST_SERVER_ERROR:
            problem = ProblemError(400, "this is no HTTP request that could be read")
        else:
            problem = ProblemError(500, "the sandbox failed: this is a mistake of its own")
        logger.debug("a request could not be read: %s", unread.kind)
        service.tally.answered(found[0].name if found else "unknown", problem.status)
        request_id = str(uuid.uuid4())
        problem.detail = scrubbed(problem.detail, Message("", ""), service.tokens.secrets())
        response = response_of(problem_answer(problem, request_id=request_id))
        _mark(response, request_id, service, clock)
        return response

    return refuse


def _stamp(
    service: Service, clock: Callable[[], float]
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def stamp(request: web.Request, response: web.StreamResponse) -> None:
        _mark(response, request.get(_REQUEST_ID), service, clock)

    return stamp


def _mark(
    response: web.StreamResponse,
    request_id: str | None,
    service: Service,
    clock: Callable[[], float],
) -> None:
    response.headers["date"] = formatdate(clock() + service.skew.seconds, usegmt=True)
    if request_id is not None:
        response.headers["upvest-request-id"] = request_id
    if service.told_limit is not None:
        response.headers["ratelimit-policy"] = f'"default";q={service.told_limit};w=1'


async def _guarded(
    request: web.Request, handler: Handler, service: Service, message: Message
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as refusal:
        problem = refusal
    except web.HTTPRequestEntityTooLarge:
        problem = ProblemError(413, f"the body is larger than {_MOST_BODY_BYTES} bytes")
    except web.HTTPNotFound:
        problem = ProblemError(404, "there is nothing at this target")
    except (web.HTTPException, ConnectionError):
        raise  # what stands between may answer, or hang up, in its own way
    except Exception:
        logger.exception("a request could not be answered")
        problem = ProblemError(500, "the sandbox failed: this is a mistake of its own")
    logger.debug("%s refused with %s", request.method, problem.status)
    problem.detail = scrubbed(problem.detail, message, service.tokens.secrets())
    return response_of(problem_answer(problem, request_id=request[_REQUEST_ID]))


def _message(request: web.Request, body: bytes) -> Message:
    return Message(
        method=request.method,
        target=request.raw_path.encode("utf-8", "surrogateescape").decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1"))
            for name, value in request.raw_headers
        ),
        body=body,
    )
