"""The sandbox without its sockets: a request and the time go in, an answer comes out."""

import attrs

from upvest_rebalancing.sandbox.config import SandboxConfig
from upvest_rebalancing.sandbox.counters import Tally
from upvest_rebalancing.sandbox.gate import Gate
from upvest_rebalancing.sandbox.limits import RateLimits
from upvest_rebalancing.sandbox.messages import Answer, Message, json_answer
from upvest_rebalancing.sandbox.operations import Operations
from upvest_rebalancing.sandbox.problems import ProblemError
from upvest_rebalancing.sandbox.routes import find_route
from upvest_rebalancing.sandbox.signatures import SignaturePolicy, Verifier
from upvest_rebalancing.sandbox.tokens import TokenOffice
from upvest_rebalancing.sandbox.webhook_keys import WebhookKey, make_webhook_key
from upvest_rebalancing.sandbox.world import World

CONTROL_PREFIX = "/_sandbox/"
_CONTROLS = {
    "counters": "GET",
    "health": "GET",
    "reset": "POST",
    "tokens/revoke": "POST",
}


class Service:
    """The API of the specification.

    Args:
        config: The settings.
    """

    def __init__(self, config: SandboxConfig) -> None:
        policy = SignaturePolicy(
            max_lifetime=config.max_signature_lifetime, clock_tolerance=config.clock_tolerance
        )
        self.verifier = Verifier(policy)
        self.tokens = TokenOffice(config.token_lifetime)
        self.world = World(config)
        self.tally = Tally()
        self.webhook_key: WebhookKey = make_webhook_key()
        limits = RateLimits(config.rate_limit, config.rate_limit_kind)
        self._gate = Gate(limits, self.verifier, self.tokens)
        self._operations = Operations(self.world, self.tokens, self.tally, self.webhook_key)

    def answer(self, message: Message, now: float) -> Answer:
        """Answer a request.

        Args:
            message: The request.
            now: The time in Unix seconds.

        Raises:
            ProblemError: It is refused.
        """
        if message.path.startswith(CONTROL_PREFIX):
            return self._control(message)
        found = find_route(message.path)
        if found is None:
            raise ProblemError(404, f"there is nothing at {message.path}")
        route, execution_id = found
        _check_method(message, route.method)
        client_id = self._gate.admit(message, route, now)
        return self._operations.run(route.name, message, client_id, execution_id, now)

    def _control(self, message: Message) -> Answer:
        name = message.path.removeprefix(CONTROL_PREFIX)
        if name not in _CONTROLS:
            raise ProblemError(404, f"there is nothing at {message.path}")
        _check_method(message, _CONTROLS[name])
        if name == "counters":
            return json_answer(attrs.asdict(self.tally.snapshot()))
        if name == "reset":
            self.tally.reset()
        elif name == "tokens/revoke":
            return json_answer({"revoked": self.tokens.revoke_all()})
        return json_answer({"status": "ok"})


def _check_method(message: Message, method: str) -> None:
    if message.method != method:
        detail = f"{message.path} takes {method}, not {message.method}"
        raise ProblemError(405, detail, headers={"allow": method})
