"""The aiohttp shell around the service: sockets, bytes and request ids, and no decisions."""

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from upvest_rebalancing.sandbox.messages import Answer, Message
from upvest_rebalancing.sandbox.problems import ProblemError, problem_answer
from upvest_rebalancing.sandbox.routes import find_route
from upvest_rebalancing.sandbox.service import CONTROL_PREFIX, Service

logger = logging.getLogger("upvest_rebalancing.sandbox")

_MOST_BODY_BYTES: Final = 64 * 2**20


def make_app(
    service: Service, clock: Callable[[], float], *, middlewares: Sequence[Middleware] = ()
) -> web.Application:
    """Return an application that serves the API.

    Args:
        service: What answers.
        clock: The time in Unix seconds.
        middlewares: What stands between the request ids and counters on the outside and the
            service on the inside; none by default.
    """

    @web.middleware
    async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        response = await _guarded(request, handler, request_id)
        response.headers["upvest-request-id"] = request_id
        path = _message(request, b"").path
        if not path.startswith(CONTROL_PREFIX):
            found = find_route(path)
            service.tally.answered(found[0].name if found else "unknown", response.status)
        return response

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except (ConnectionError, web.RequestPayloadError) as error:
            raise ProblemError(400, "the body broke off before its end") from error
        return _response(service.answer(_message(request, body), clock()))

    app = web.Application(middlewares=[outermost, *middlewares], client_max_size=_MOST_BODY_BYTES)
    app.router.add_route("*", "/{path:(?s:.*)}", answer)
    return app


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
    return _response(problem_answer(problem, request_id=request_id))


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


def _response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers=answer.headers,
        content_type=answer.content_type,
    )
