"""aiohttp's server, but for what it says of a request that it cannot read.

Its own answers and log lines repeat the line that is wrong, and with it bearer tokens and secrets.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod

_LONGEST_LINE: Final = 64 * 2**10
# aiohttp's parser knows a fixed set of methods; its error shows the line with any other.
_REQUEST_LINE: Final = re.compile(r"b['\"]([!#$%&*+.^_|~0-9A-Za-z-]+) (/[!-~]*) HTTP/1\.[01]['\"]")


class Unread:
    """What is known of a request that could not be read.

    Args:
        status: The status that the server would answer.
        error: Why.
    """

    def __init__(self, status: int, error: BaseException | None) -> None:
        self.status = status
        self.kind = type(error).__name__
        found = None
        if isinstance(error, BadHttpMethod):
            found = _REQUEST_LINE.search(error.message)
        self.method = found.group(1) if found else ""
        self.target = found.group(2) if found else ""


Refuse = Callable[[Unread], web.StreamResponse]


class _WithoutContents(logging.Filter):
    """Leave of an exception its type alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[0] is not None:
            record.msg = f"{record.getMessage()}: {record.exc_info[0].__name__}"
            record.args = ()
        record.exc_info = record.exc_text = None
        return True


def _logger() -> logging.Logger:
    logger = logging.getLogger("upvest_rebalancing.sandbox.connections")
    if not logger.filters:
        logger.addFilter(_WithoutContents())
    return logger


class Connection(web.RequestHandler):
    """A connection whose errors are answered by the sandbox."""

    __slots__ = ("_refuse",)

    def __init__(self, manager: web.Server, refuse: Refuse) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            logger=_logger(),
            access_log=None,  # type: ignore[arg-type]  # what turns it off, as AppRunner has it
            auto_decompress=False,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        self._refuse = refuse

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it has the line in it
    ) -> web.StreamResponse:
        """Answer what cannot be read, or failed where no handler saw it.

        Args:
            request: A stand-in for the request.
            status: The status.
            exc: What happened.
            message: The server's own words.
        """
        if request.writer.output_size > 0:
            raise ConnectionError
        response = self._refuse(Unread(status, exc))
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(self, plain: web.Server, refuse: Refuse) -> None:
        super().__init__(
            plain.request_handler,
            request_factory=plain.request_factory,
            # A request that is left hanging ends when its client leaves.
            handler_cancellation=True,
        )
        self._refuse = refuse

    def __call__(self) -> Connection:
        return Connection(self, self._refuse)


class Runner(web.AppRunner):
    """Run an application whose unreadable requests are answered by the sandbox.

    Args:
        app: The application.
        refuse: Makes the answer to a request that cannot be read.
        shutdown_timeout: How long requests may take when it closes, in seconds.
    """

    __slots__ = ("_refuse",)

    def __init__(self, app: web.Application, refuse: Refuse, *, shutdown_timeout: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._refuse = refuse

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._refuse)
