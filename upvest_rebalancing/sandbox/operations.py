"""The operations of the API, each from an admitted request to its answer."""

from upvest_rebalancing.sandbox.bodies import token_form, trigger_body
from upvest_rebalancing.sandbox.counters import Tally
from upvest_rebalancing.sandbox.idempotency import IdempotencyMemory, checked_key
from upvest_rebalancing.sandbox.kinds import Moment
from upvest_rebalancing.sandbox.listings import Listing, distorted
from upvest_rebalancing.sandbox.messages import Answer, Message, compact_json_text, json_answer
from upvest_rebalancing.sandbox.orders import written_time
from upvest_rebalancing.sandbox.parameters import order_query
from upvest_rebalancing.sandbox.plan import FaultPlan
from upvest_rebalancing.sandbox.problems import ProblemError
from upvest_rebalancing.sandbox.tokens import TokenOffice, TokenRefusedError
from upvest_rebalancing.sandbox.uuids import is_uuid
from upvest_rebalancing.sandbox.webhook_keys import WebhookKey
from upvest_rebalancing.sandbox.world import Execution, World


class Operations:
    """Work on requests that have passed the gate.

    Args:
        world: Where rebalancings happen.
        tokens: Where access tokens are made.
        tally: Where it is counted.
        webhook_key: The key that `verify_keys` publishes.
        faults: What goes wrong while it is worked.
    """

    def __init__(
        self,
        world: World,
        tokens: TokenOffice,
        tally: Tally,
        webhook_key: WebhookKey,
        faults: FaultPlan,
    ) -> None:
        self._world = world
        self._tokens = tokens
        self._tally = tally
        self._webhook_key = webhook_key
        self._faults = faults
        self._idempotency = IdempotencyMemory()

    def run(
        self,
        name: str,
        message: Message,
        client_id: str,
        execution_id: str,
        now: float,
        shown: float,
    ) -> Answer:
        """Do what a route asks for.

        Args:
            name: The route's name.
            message: The request.
            client_id: Who asks, in lower case.
            execution_id: The execution in the path, empty for routes without one.
            now: The time in Unix seconds; the world goes by it.
            shown: What the clock shows; tokens go by it.

        Raises:
            ProblemError: It cannot be done: 400, 401, 404 or 409.
        """
        if name == "token":
            return self._token(message, client_id, shown)
        if name == "trigger":
            return self._trigger(message, client_id, now)
        if name == "execution":
            return self._execution(client_id, execution_id, now)
        if name == "orders":
            return self._orders(message, client_id, execution_id, now)
        return json_answer({"keys": [self._webhook_key.jwk()]})

    def _token(self, message: Message, client_id: str, now: float) -> Answer:
        form = token_form(message)
        if form.client_id != client_id:
            raise ProblemError(401, "the form's client_id is not that of upvest-client-id")
        try:
            token, lifetime = self._tokens.issue(
                form.client_id,
                form.client_secret,
                form.scopes,
                now,
                lifetime=self._other_lifetime,
            )
        except TokenRefusedError as refusal:
            raise ProblemError(401, str(refusal)) from refusal
        self._tally.token_issued()
        answer = {
            "access_token": token,
            "expires_in": lifetime,
            "token_type": "bearer",
            "scope": " ".join(form.scopes),
        }
        return json_answer(answer, headers={"cache-control": "no-store"})

    def _other_lifetime(self) -> float | None:
        strike = self._faults.first_strike(Moment.TOKEN, "token")
        return strike.fault.seconds if strike is not None else None

    def _trigger(self, message: Message, client_id: str, now: float) -> Answer:
        key = checked_key(message.header("idempotency-key"))
        body = trigger_body(message)
        known = self._idempotency.recall(client_id, key, body)
        if known is not None:
            return known
        execution = self._world.trigger(client_id, body.kind, body.ids, now)
        self._tally.triggered()
        answer = json_answer({"id": execution.id})
        self._idempotency.remember(client_id, key, body, answer)
        return answer

    def _execution(self, client_id: str, execution_id: str, now: float) -> Answer:
        execution = self._found(client_id, execution_id)
        execution.orders.advance(now)
        return json_answer(
            {
                "id": execution.id,
                "created_at": written_time(execution.created_at),
                "updated_at": written_time(execution.orders.updated_at),
                "accounts": execution.accounts,
                "allocations": execution.allocations,
            }
        )

    def _orders(self, message: Message, client_id: str, execution_id: str, now: float) -> Answer:
        query = order_query(message.query)
        execution = self._found(client_id, execution_id)
        strikes = self._faults.all_strikes(Moment.LISTING, "orders", execution.id)
        plain = Listing(offset=query.offset, limit=query.limit, visible=len(execution.orders))
        listing = distorted(plain, strikes, age=now - execution.created_at)
        page = execution.orders.page(listing.offset, listing.limit, now, visible=listing.visible)
        # All orders of an execution are made with it: a period has all of them or none.
        included = query.includes(execution.created_at)
        rows = page.rows if included else []
        meta = compact_json_text(
            {
                "offset": query.offset,
                "limit": query.limit,
                "count": len(rows) + listing.count_error,
                "total_count": (page.total if included else 0) + listing.total_error,
                "sort": "status",
                "order": "ASC",
            }
        )
        written = ",".join(row for row in rows for _ in range(listing.copies))
        return Answer(status=200, body=f'{{"meta":{meta},"data":[{written}]}}'.encode())

    def _found(self, client_id: str, execution_id: str) -> Execution:
        execution = self._world.execution(client_id, execution_id.lower())
        if execution is None:
            detail = f"there is no execution {execution_id!r}"
            if not is_uuid(execution_id):
                detail += "; an execution's id is a UUID"
            raise ProblemError(404, detail)
        return execution
