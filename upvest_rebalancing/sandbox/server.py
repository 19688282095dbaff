"""The sandbox as a server that is started and closed."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack
from uuid import UUID

import attrs
from aiohttp import web

from upvest_rebalancing.sandbox.app import make_app, make_refuse
from upvest_rebalancing.sandbox.config import ConfigFields, SandboxConfig
from upvest_rebalancing.sandbox.counters import Counters
from upvest_rebalancing.sandbox.credentials import (
    Credentials,
    environment_of,
    make_credentials,
    write_environment,
)
from upvest_rebalancing.sandbox.doorway import Runner
from upvest_rebalancing.sandbox.faults import Fault
from upvest_rebalancing.sandbox.keys import load_verifying_key
from upvest_rebalancing.sandbox.lifecycle import Outcome
from upvest_rebalancing.sandbox.plan import InjectedFault
from upvest_rebalancing.sandbox.service import Service
from upvest_rebalancing.sandbox.uuids import canonical_uuid
from upvest_rebalancing.sandbox.webhook_keys import WebhookKey

_SHUTDOWN_SECONDS: Final = 1.0


class Sandbox:
    """A local server that behaves as the specification of the API says.

    It exists so that clients can be tried out and tested against all of the specification, without
    an account at Upvest and at any speed. It keeps all of its state in memory, and listens at a
    loopback address only.

    Args:
        config: The settings; the defaults of `SandboxConfig` if left out.
        clock: The time in Unix seconds; rate limits and orders go by it and, as far off as
            `clock_skew` says, signatures and tokens.
        overrides: Fields of `SandboxConfig`, in place of those of `config`.

    Raises:
        ValueError: A setting cannot be.
    """

    def __init__(
        self,
        config: SandboxConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
        **overrides: Unpack[ConfigFields],
    ) -> None:
        self._config = attrs.evolve(config or SandboxConfig(), **overrides)
        self._clock = clock
        self._credentials = make_credentials(self._config.key_type, self._config.scopes)
        self._service = Service(self._config)
        self._runner: Runner | None = None
        self._url: str | None = None
        mine = self._credentials
        self.register_client(mine.client_id, mine.client_secret, mine.scopes)
        self.register_key(mine.key_id, mine.public_key_pem)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen.

        Raises:
            RuntimeError: It is listening already.
            OSError: The port is taken.
        """
        if self._runner is not None:
            message = "the sandbox is started already"
            raise RuntimeError(message)
        runner = Runner(
            make_app(self._service, self._clock),
            make_refuse(self._service, self._clock),
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        host = "127.0.0.1" if self._config.host == "localhost" else self._config.host
        try:
            await runner.setup()
            await web.TCPSite(runner, host, self._config.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        shown = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        self._url = f"http://{shown}:{runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening, and end what is left of connections; closing twice is fine."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def config(self) -> SandboxConfig:
        """The settings."""
        return self._config

    @property
    def url(self) -> str:
        """Where the sandbox listens, without a slash at the end.

        Raises:
            RuntimeError: It was never started.
        """
        if self._url is None:
            message = "the sandbox is not started yet: it has no URL"
            raise RuntimeError(message)
        return self._url

    @property
    def credentials(self) -> Credentials:
        """What the generated client needs."""
        return self._credentials

    @property
    def webhook_key(self) -> WebhookKey:
        """The key that `verify_keys` publishes, to sign webhooks with."""
        return self._service.webhook_key

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a client needs, the private key among them."""
        return environment_of(self._credentials, self.url)

    def write_env_file(self, path: str | Path) -> Path:
        """Write the environment variables to a file, and the private key to one next to it.

        Args:
            path: The env file. Both files are readable by their owner alone.

        Returns:
            The env file's absolute path.

        Raises:
            ValueError: The path has characters that an env file cannot carry, or one of the files
                exists and is no sandbox's.
            OSError: The files cannot be written.
        """
        return write_environment(Path(path), self._credentials, self.url)

    def counters(self) -> Counters:
        """Return what has been counted so far."""
        return self._service.tally.snapshot()

    def register_key(
        self, key_id: str, public_key_pem: bytes, client_id: UUID | str | None = None
    ) -> None:
        """Register a further client key, or replace the one of that id.

        Args:
            key_id: The `keyid` of its signatures.
            public_key_pem: A P-521 or Ed25519 public key.
            client_id: The only client that may sign with it; None for the generated one.

        Raises:
            ValueError: It is no such key, or the client id is no UUID.
        """
        owner = self._credentials.client_id if client_id is None else client_id
        key = load_verifying_key(key_id, public_key_pem, canonical_uuid(owner, "client_id"))
        self._service.verifier.register(key)

    def register_client(
        self, client_id: UUID | str, client_secret: str, scopes: Iterable[str]
    ) -> None:
        """Register a further client; rate limits and executions are per client.

        Args:
            client_id: Its UUID.
            client_secret: Its secret.
            scopes: The scopes that it may have.

        Raises:
            ValueError: The id is no UUID, or the secret is empty.
        """
        self._service.tokens.register(client_id, client_secret, scopes)

    def add_allocation(self, allocation_id: UUID | str, account_ids: Iterable[UUID | str]) -> None:
        """Say which accounts an allocation stands for, in triggers from now on.

        Args:
            allocation_id: The allocation's UUID.
            account_ids: The accounts' UUIDs.

        Raises:
            ValueError: One of them is no UUID.
        """
        self._service.world.add_allocation(allocation_id, account_ids)

    def set_outcome(
        self, account_id: UUID | str, outcome: Outcome, reason: str | None = None
    ) -> None:
        """Decide what becomes of an account's orders, in triggers from now on.

        Args:
            account_id: The account's UUID.
            outcome: `FILLED` or `CANCELLED`.
            reason: For `CANCELLED`, one of the specification's reasons.

        Raises:
            ValueError: An argument is none of those.
        """
        self._service.world.set_outcome(account_id, outcome, reason)

    def revoke_tokens(self) -> None:
        """Make all access tokens invalid at once."""
        self._service.tokens.revoke_all()

    def inject(self, fault: Fault) -> InjectedFault:
        """Let something go wrong from now on.

        Args:
            fault: What, where and how often.

        Returns:
            The fault at work; it tells how many requests it has struck.
        """
        return self._service.faults.inject(fault)

    @property
    def faults(self) -> tuple[InjectedFault, ...]:
        """The faults at work, in the order in which they were injected."""
        return self._service.faults.injected

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._service.faults.clear()

    def set_clock_skew(self, seconds: float) -> None:
        """Let the clock jump that signatures, tokens and the `date` header go by.

        Args:
            seconds: How far it is ahead of the true time from now on; negative for behind.

        Raises:
            ValueError: It is no number, or more than ten years.
        """
        self._service.skew.set(seconds)
