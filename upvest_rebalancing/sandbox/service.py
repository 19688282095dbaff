"""The sandbox without its sockets: a request and the time go in, and what is sent comes out."""

from upvest_rebalancing.sandbox.config import SandboxConfig
from upvest_rebalancing.sandbox.contents import with_other_content
from upvest_rebalancing.sandbox.controls import CONTROL_PREFIX, Controls, wrong_method
from upvest_rebalancing.sandbox.counters import Tally
from upvest_rebalancing.sandbox.deliveries import Delivery, delivery_of
from upvest_rebalancing.sandbox.gate import Gate
from upvest_rebalancing.sandbox.kinds import Moment
from upvest_rebalancing.sandbox.limits import RateLimits
from upvest_rebalancing.sandbox.messages import Answer, Message
from upvest_rebalancing.sandbox.operations import Operations
from upvest_rebalancing.sandbox.plan import FaultPlan
from upvest_rebalancing.sandbox.problems import ProblemError
from upvest_rebalancing.sandbox.routes import Route, find_route
from upvest_rebalancing.sandbox.signatures import SignaturePolicy, Verifier
from upvest_rebalancing.sandbox.skew import Skew
from upvest_rebalancing.sandbox.tokens import TokenOffice
from upvest_rebalancing.sandbox.webhook_keys import WebhookKey, make_webhook_key
from upvest_rebalancing.sandbox.world import World


class Service:
    """The API of the specification, and what goes wrong with it.

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
        self.skew = Skew(config.clock_skew)
        self.faults = FaultPlan(config.seed)
        for fault in config.faults:
            self.faults.inject(fault)
        self.told_limit = config.rate_limit if config.tell_rate_limit else None
        self.webhook_key: WebhookKey = make_webhook_key()
        limits = RateLimits(config.rate_limit, config.rate_limit_kind)
        self._gate = Gate(limits, self.verifier, self.tokens)
        self._operations = Operations(
            self.world, self.tokens, self.tally, self.webhook_key, self.faults
        )
        self._controls = Controls(self.tally, self.tokens, self.faults, self.skew)

    def arrived(self, message: Message) -> None:
        """Note a request that has arrived, whatever becomes of it.

        Args:
            message: The request; its body may be missing.
        """
        found = find_route(message.path)
        key = message.header("idempotency-key")
        if found is not None and found[0].name == "trigger" and key is not None:
            client_id = (message.header("upvest-client-id") or "").lower()
            self.tally.key_seen(client_id, key.replace("-", "").lower())

    def answer(self, message: Message, now: float) -> Delivery:
        """Work on a request, from its arrival to what is put on the wire.

        It is one step, which nothing comes between: faults are counted exactly, however many
        requests are under way.

        Args:
            message: The request.
            now: The true time in Unix seconds.

        Raises:
            ProblemError: It is refused, or struck by a fault that looks like a refusal.
        """
        if message.path.startswith(CONTROL_PREFIX):
            return Delivery(self._controls.answer(message))
        found = find_route(message.path)
        if found is None:
            raise ProblemError(404, f"there is nothing at {message.path}")
        route, execution_id = found
        if message.method != route.method:
            raise wrong_method(message, route.method)
        shown = now + self.skew.seconds
        if self.faults.all_strikes(Moment.ARRIVAL, route.name):
            self.tokens.revoke_all()
        instead = self.faults.first_strike(Moment.INSTEAD, route.name)
        if instead is not None:
            return delivery_of(instead.fault, None, shown)
        client_id = self._gate.admit(message, route, now, shown)
        answer = self._operations.run(route.name, message, client_id, execution_id, now, shown)
        return self._delivery(answer, route, shown)

    def _delivery(self, answer: Answer, route: Route, shown: float) -> Delivery:
        for strike in self.faults.all_strikes(Moment.CONTENT, route.name):
            answer = with_other_content(answer, strike.fault, route.name)
        last = self.faults.first_strike(Moment.DELIVERY, route.name)
        return Delivery(answer) if last is None else delivery_of(last.fault, answer, shown)
