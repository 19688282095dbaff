"""Put answers on the wire: whole, slowly, in part, or not at all."""

import asyncio
import contextlib
import os
import socket
import struct
from typing import Final

from aiohttp import HttpVersion11, web

from upvest_rebalancing.sandbox.deliveries import Delivery, Manner
from upvest_rebalancing.sandbox.messages import Answer

# Closed without lingering, a socket sends a reset in place of the end of the stream.
_NO_LINGERING: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Wire:
    """Send answers, in the manner that is asked for.

    What takes its time ends as soon as the sandbox closes.
    """

    def __init__(self) -> None:
        self._closing = asyncio.Event()

    async def close(self, _app: web.Application) -> None:
        """Let every answer that is under way end now."""
        self._closing.set()

    async def send(self, request: web.Request, delivery: Delivery) -> web.StreamResponse:
        """Send an answer, or see to it that there is none.

        Args:
            request: What is answered.
            delivery: The answer and its manner.

        Returns:
            The response, which the server sends what is left of; it cannot send anything on a
            connection that was closed here.
        """
        manner = delivery.manner
        if manner is Manner.WHOLE:
            return response_of(delivery.answer)
        if manner is Manner.HANG:
            await self._closing.wait()
        elif manner is not Manner.RESET and manner is not Manner.DISCONNECT:
            with contextlib.suppress(ConnectionError):
                return await self._send_body(request, delivery)
        _hang_up(request, reset=manner is Manner.RESET)
        return web.Response()

    async def _send_body(self, request: web.Request, delivery: Delivery) -> web.StreamResponse:
        answer = delivery.answer
        response = web.StreamResponse(status=answer.status, headers=_headers(answer))
        if delivery.manner is not Manner.TRUNCATED_CHUNKS:
            response.content_length = len(answer.body)
        elif request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        await response.prepare(request)
        if delivery.manner is Manner.SLOW:
            await self._dribble(request, response, delivery)
        else:
            await response.write(delivery.body_sent)
            _hang_up(request, reset=False)
        return response

    async def _dribble(
        self, request: web.Request, response: web.StreamResponse, delivery: Delivery
    ) -> None:
        body = delivery.answer.body
        count = min(delivery.pieces, max(1, len(body)))
        for number in range(count):
            if await self._closes_within(delivery.seconds / count):
                _hang_up(request, reset=False)
                return
            await response.write(
                body[len(body) * number // count : len(body) * (number + 1) // count]
            )

    async def _closes_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._closing.wait()
        return False


def response_of(answer: Answer) -> web.Response:
    """Return an answer as the server's own.

    Args:
        answer: The answer.
    """
    return web.Response(
        status=answer.status,
        body=answer.body or None,
        headers=_headers(answer),
    )


def _headers(answer: Answer) -> dict[str, str]:
    # As a header, since the server's own way has no room for parameters of a content type.
    kind = {"content-type": answer.content_type} if answer.content_type else {}
    return {**kind, **answer.headers}


def _hang_up(request: web.Request, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        transport.abort()
    else:
        transport.close()
