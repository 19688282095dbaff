"""Hostile requests, hasty clocks and foreign keys: what the sandbox withstands."""

import json
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from tests.sandbox.conftest import EXECUTIONS, Api, Clock, MakeApi, accounts
from tests.sandbox.test_signatures import ED25519, NOW, make_message, make_verifier, refusal
from upvest_rebalancing.cli.app import app
from upvest_rebalancing.sandbox import Fault, Sandbox
from upvest_rebalancing.sandbox.keys import VerifyingKey
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.secrecy import scrubbed
from upvest_rebalancing.sandbox.signature_input import SignatureRefusedError


async def test_only_files_of_a_sandbox_are_replaced(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        for name in (".a.env", "a.env"):
            sandbox.write_env_file(tmp_path / name)
            sandbox.write_env_file(tmp_path / name)
        names = [".a.env", "a.env", "sandbox-.a.env.pem", "sandbox-a.env.pem"]
        assert sorted(entry.name for entry in tmp_path.iterdir()) == names
        for name in names:
            first = (tmp_path / name).read_text().splitlines()[0]
            assert first.startswith("# Written by upvest-rebalancing sandbox")
            before = {other: (tmp_path / other).read_bytes() for other in names}
            (tmp_path / name).write_text("UPVEST_API_BASE_URL='http://mine'\n")
            with pytest.raises(ValueError, match=f"{name} exists and is no sandbox's"):
                sandbox.write_env_file(
                    tmp_path / name.removeprefix("sandbox-").removesuffix(".pem")
                )
            assert (tmp_path / name).read_text() == "UPVEST_API_BASE_URL='http://mine'\n"
            for other in set(names) - {name}:
                assert (tmp_path / other).read_bytes() == before[other]
            (tmp_path / name).write_bytes(before[name])
        with pytest.raises(ValueError, match="is no sandbox's"):
            sandbox.write_env_file(tmp_path / "sandbox-a.env.pem")


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
async def test_what_is_no_file_is_no_sandboxs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sandbox-made.env.pem"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    async with Sandbox() as sandbox:
        with pytest.raises(ValueError, match="is no sandbox's"):
            sandbox.write_env_file(tmp_path / "made.env")
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_leaves_a_users_key_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sandbox-made.env.pem").write_text("precious")
    result = CliRunner().invoke(app, ["sandbox", "--env-file", "made.env"])
    assert result.exit_code == 2
    assert "sandbox-made.env.pem exists and is no sandbox's" in result.stderr
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["precious"]


def test_a_diagnosis_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    original = VerifyingKey.verifies

    def verifies(self: VerifyingKey, signature: bytes, base: bytes, *rest: Any) -> bool:
        tries.append(len(base))
        return original(self, signature, base, *rest)

    monkeypatch.setattr(VerifyingKey, "verifies", verifies)
    for count, size, most in ((100, 10, 850), (40, 2000, 50)):
        tries.clear()
        headers = {f"h{number}": "Some, Value+x" * size for number in range(count)}
        options: dict[str, Any] = {"headers": headers, "edit_base": lambda base: f"{base}zz"}
        assert "no known slip" in refusal(make_message(key=ED25519, key_id="ed", **options))
        assert len(tries) <= most


def test_only_some_signatures_are_looked_at() -> None:
    message = make_message(edit_base=lambda base: f"{base}zz")
    many = {
        name: ", ".join(
            f"s{number}={(message.header(name) or '').partition('=')[2]}" for number in range(9)
        )
        for name in ("signature", "signature-input")
    }
    headers = tuple((name, many.get(name, value)) for name, value in message.headers)
    text = refusal(Message("POST", message.target, headers, message.body))
    assert text == "there are 9 signatures; at most 8 are looked at"


def test_the_effort_is_counted_per_key() -> None:
    verifier = make_verifier(lambda: 5.0)
    texts = []
    for key_id, key in (("ed", ED25519), ("ed", ED25519), ("key", None)):
        options: dict[str, Any] = {"key": key} if key else {}
        message = make_message(key_id=key_id, edit_base=lambda base: f"{base}zz", **options)
        with pytest.raises(SignatureRefusedError) as caught:
            verifier.verify(message, token_request=False, now=NOW)
        texts.append("no known slip" in str(caught.value))
    assert texts == [True, False, True]


async def test_a_key_that_changes_between_attempts_is_found_out(api: Api) -> None:
    api.sandbox.inject(Fault("error", route="trigger", count=1))
    body = {"accounts": accounts(1)}
    assert (await api.trigger(body)).status == 503
    await api.trigger(body, "not even valid")
    reply = await api.trigger(body, edit_base=lambda base: f"{base}zz")
    assert reply.status == 401
    key = str(uuid.uuid4())
    for written in (key, key.upper(), key.replace("-", "")):
        await api.trigger(body, written)
    counters = api.sandbox.counters()
    assert counters.triggers == 1
    assert counters.idempotency_keys == 4


async def test_no_detail_has_a_secret(api: Api) -> None:
    secrets = [api.client_secret, api.token or ""]
    odd = "it's a \\ 'secret'"
    api.sandbox.register_client(uuid.uuid4(), odd, ("portfolios:read",))
    details = []
    for secret in [*secrets, odd]:
        form = {"grant_type": secret}
        details.append((await api.ask_token(form)).problem(400, "unsupported_grant_type"))
        target = f"/nowhere/{quote(secret)}"
        details.append((await api.get(target)).problem(404, "not_found"))
        details.append((await api.trigger({secret: []})).problem(400, "bad_request"))
    assert all("…" in detail for detail in details)
    shown = json.dumps(details)
    for secret in (*secrets, "a \\\\", quote(odd)):
        assert secret not in shown


def test_parts_of_the_requests_own_secrets_are_taken_out() -> None:
    signature = "MEUCIQDxZYXWVUTSRQPONMLKJIHG"
    headers = (("signature", f"sig1=:{signature}:"), ("authorization", "Bearer 0123456789abcdefgh"))
    message = Message("GET", "/", headers)
    text = scrubbed(f"found '{signature[:20]}', 89abcdefgh and 456789abcdefg", message, ["short"])
    assert text == "found '…', 89abcdefgh and …"
    assert scrubbed("a short text", message, ["short"]) == "a short text"


async def test_a_jump_of_the_clock_lets_no_replay_in(api: Api, clock: Clock) -> None:
    target = f"{EXECUTIONS}/{await api.triggered(1)}"
    options: dict[str, Any] = {"nonce": "jumping", "created": int(clock.now)}
    assert (await api.get(target, **options)).status == 200
    api.sandbox.set_clock_skew(3600)
    assert (await api.ask_token(created=int(clock.now) + 3600)).status == 200
    api.sandbox.set_clock_skew(0)
    assert "used before" in (await api.get(target, **options)).problem(401, "unauthorized")
    clock.now += 60
    assert (await api.ask_token()).status == 200
    api.sandbox.set_clock_skew(-60)
    assert "used before" in (await api.get(target, **options)).problem(401, "unauthorized")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://x/a", "/a"),
        ("HTTPS://x/a", "/a"),
        ("foo://x/a", "foo://x/a"),
        ("://x/a", "://x/a"),
    ],
)
def test_only_http_has_an_absolute_form(target: str, path: str) -> None:
    assert Message("GET", target).path == path


@pytest.mark.parametrize("covered", [True, False])
async def test_a_digest_that_is_sent_has_to_be_right(api: Api, covered: bool) -> None:
    target = f"{EXECUTIONS}/{await api.triggered(1)}"
    wrong = {"content-digest": "sha-512=:AAAA:"}
    reply = await (api.get(target, headers=wrong) if covered else api.get(target, sent=wrong))
    assert "content-digest is not" in reply.problem(401, "unauthorized")


async def test_the_default_scopes_are_enough_for_verify_keys(make_api: MakeApi) -> None:
    api = await make_api()
    await api.log_in()
    assert (await api.get("/auth/verify_keys")).status == 200


async def test_many_covered_headers_hold_nobody_up(api: Api) -> None:
    before = time.monotonic()
    headers = {f"h{number}": "Some, Value+x" for number in range(90)}
    reply = await api.get("/auth/verify_keys", headers=headers, edit_base=lambda base: f"{base}zz")
    assert reply.status == 401
    assert time.monotonic() - before < 10
