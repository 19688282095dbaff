"""The aiohttp shell around the service: sockets, bytes and request ids, and no decisions."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from upvest_rebalancing.sandbox.controls import CONTROL_PREFIX
from upvest_rebalancing.sandbox.counters import Status
from upvest_rebalancing.sandbox.deliveries import Manner
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.problems import ProblemError, problem_answer
from upvest_rebalancing.sandbox.routes import find_route
from upvest_rebalancing.sandbox.service import Service
from upvest_rebalancing.sandbox.wire import Wire, response_of

logger = logging.getLogger("upvest_rebalancing.sandbox")

_MOST_BODY_BYTES: Final = 64 * 2**20
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
        try:
            response = await _guarded(request, handler, request[_REQUEST_ID])
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
    app.router.add_route("*", "/{path:(?s:.*)}", answer)
    app.on_response_prepare.append(_stamp(service, clock))
    app.on_shutdown.append(wire.close)
    return app


def _stamp(
    service: Service, clock: Callable[[], float]
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def stamp(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["date"] = formatdate(clock() + service.skew.seconds, usegmt=True)
        if _REQUEST_ID in request:
            response.headers["upvest-request-id"] = request[_REQUEST_ID]
        if service.told_limit is not None:
            response.headers["ratelimit-policy"] = f'"default";q={service.told_limit};w=1'

    return stamp


async def _guarded(request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
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
    return response_of(problem_answer(problem, request_id=request_id))


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
