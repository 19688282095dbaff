"""Settings under the names of Upvest's own package; every mistake named at once."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP521R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from upvest_rebalancing.errors import ConfigurationError
from upvest_rebalancing.identity import SANDBOX_URL
from upvest_rebalancing.protocol.keys import P521
from upvest_rebalancing.settings import DEFAULT_SCOPES, Settings

PEM = generate_private_key(SECP521R1()).private_bytes(
    Encoding.PEM,
    PrivateFormat.TraditionalOpenSSL,
    BestAvailableEncryption("pässphrase".encode()),
)
CLIENT = "ebabcf4d-61c3-4942-875c-e265a7c2d062"
GOOD = {
    "UPVEST_API_HTTP_SIGN_PRIVATE_KEY": PEM.decode(),
    "UPVEST_API_HTTP_SIGN_PRIVATE_KEY_PASSPHRASE": "pässphrase",
    "UPVEST_API_KEY_ID": "key-1",
    "UPVEST_API_CLIENT_ID": CLIENT,
    "UPVEST_API_CLIENT_SECRET": "very-secret",
}


def load(**changes: str | None) -> Settings:
    values = GOOD | {f"UPVEST_API_{name}": value for name, value in changes.items()}
    environ = {name: value for name, value in values.items() if value is not None}
    return Settings.from_env(None, environ=environ)


def problems(call: Callable[[], Settings]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        call()
    for problem in caught.value.problems:
        assert problem in str(caught.value)
        assert "very-secret" not in problem
        assert "pässphrase" not in problem
    return caught.value.problems


def test_defaults() -> None:
    settings = load()
    assert settings.base_url == SANDBOX_URL == "https://sandbox.upvest.co"
    assert settings.scopes == DEFAULT_SCOPES == ("portfolios:admin",)
    assert (settings.key_id, settings.client_id) == ("key-1", CLIENT)
    assert settings.client_secret == "very-secret"
    assert settings.private_key.sign(b"x")


def test_no_secret_is_shown() -> None:
    text = repr(load())
    assert "very-secret" not in text
    assert "pässphrase" not in text
    assert "BEGIN" not in text


def test_the_key_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(PEM)
    settings = load(HTTP_SIGN_PRIVATE_KEY=None, HTTP_SIGN_PRIVATE_KEY_FILENAME=str(path))
    assert settings.private_key.algorithm == P521


def test_the_key_in_base64_with_line_breaks() -> None:
    text = base64.encodebytes(PEM).decode()
    settings = load(HTTP_SIGN_PRIVATE_KEY=None, HTTP_SIGN_PRIVATE_KEY_BASE64=text)
    assert settings.private_key.algorithm == P521


def test_the_key_in_one_line() -> None:
    settings = load(HTTP_SIGN_PRIVATE_KEY=PEM.decode().replace("\n", "\\n"))
    assert settings.private_key.algorithm == P521


@pytest.mark.parametrize(
    "text", ["portfolios:admin,portfolios:read", "portfolios:admin, portfolios:read,"]
)
def test_scopes(text: str) -> None:
    assert load(SCOPES=text).scopes == ("portfolios:admin", "portfolios:read")


def test_everything_that_is_missing_is_named_at_once() -> None:
    found = problems(lambda: Settings.from_env(None, environ={}))
    text = "\n".join(found)
    assert len(found) == 4
    for name in ("KEY_ID", "CLIENT_ID", "CLIENT_SECRET", "HTTP_SIGN_PRIVATE_KEY_FILENAME"):
        assert f"UPVEST_API_{name}" in text


def test_everything_that_is_wrong_is_named_at_once() -> None:
    found = problems(
        lambda: load(
            BASE_URL="http://sandbox.upvest.co",
            CLIENT_ID="me",
            KEY_ID="ké",
            SCOPES='a"b',
            HTTP_SIGN_PRIVATE_KEY_PASSPHRASE="wrong",
        )
    )
    assert len(found) == 5
    assert any("passphrase is wrong" in problem for problem in found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"HTTP_SIGN_PRIVATE_KEY_BASE64": "eA=="}, "exactly one of"),
        ({"HTTP_SIGN_PRIVATE_KEY": None}, "set: none"),
        ({"HTTP_SIGN_PRIVATE_KEY": ""}, "set: none"),
        ({"HTTP_SIGN_PRIVATE_KEY": "hello"}, "no PEM"),
        ({"HTTP_SIGN_PRIVATE_KEY_PASSPHRASE": None}, "no passphrase is given"),
        ({"SCOPES": " , "}, "names no scope"),
        ({"CLIENT_ID": "x"}, "a UUID is right"),
        ({"KEY_ID": "a\nb"}, "printable ASCII"),
    ],
)
def test_one_mistake(changes: dict[str, str | None], words: str) -> None:
    (problem,) = problems(lambda: load(**changes))
    assert words in problem


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HTTP_SIGN_PRIVATE_KEY_FILENAME", "/nowhere/key.pem", "No such file"),
        ("HTTP_SIGN_PRIVATE_KEY_FILENAME", "/", "directory"),
        ("HTTP_SIGN_PRIVATE_KEY_BASE64", "$$$", "no base64"),
    ],
)
def test_a_key_that_can_not_be_read(name: str, value: str, words: str) -> None:
    (problem,) = problems(lambda: load(**{"HTTP_SIGN_PRIVATE_KEY": None, name: value}))
    assert words in problem
    assert f"UPVEST_API_{name}" in problem


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://api.upvest.co", "https://api.upvest.co"),
        ("https://api.upvest.co/", "https://api.upvest.co"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9:8080", "http://127.9.9.9:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:80", "http://localhost:80"),
    ],
)
def test_base_urls(value: str, kept: str) -> None:
    assert load(BASE_URL=value).base_url == kept


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("http://sandbox.upvest.co", "plain http"),
        ("http://localhost.example.com", "plain http"),
        ("http://10.0.0.1", "plain http"),
        ("ftp://sandbox.upvest.co", "is right"),
        ("sandbox.upvest.co", "is right"),
        ("https://", "is right"),
        ("https://sandbox.upvest.co/v1", "must end after the host"),
        ("https://sandbox.upvest.co?x=1", "must end after the host"),
        ("https://sandbox.upvest.co:port", "no URL"),
        ("https://[::1", "no URL"),
    ],
)
def test_base_urls_that_are_refused(value: str, words: str) -> None:
    (problem,) = problems(lambda: load(BASE_URL=value))
    assert words in problem


def test_a_password_in_the_url_is_not_repeated() -> None:
    (problem,) = problems(lambda: load(BASE_URL="https://user:hunter2@sandbox.upvest.co"))
    assert "hunter2" not in problem
    assert "password" in problem


def env_file(path: Path, values: dict[str, str]) -> Path:
    # python-dotenv reads a double-quoted value over several lines.
    path.write_text("".join(f'{name}="{value}"\n' for name, value in values.items()), "utf-8")
    return path


def test_the_file_is_read(tmp_path: Path) -> None:
    path = env_file(tmp_path / "upvest.env", GOOD | {"UPVEST_API_SCOPES": "a,b"})
    settings = Settings.from_env(path, environ={})
    assert settings.scopes == ("a", "b")
    assert settings.client_secret == "very-secret"


def test_the_environment_wins_over_the_file_and_arguments_over_both(tmp_path: Path) -> None:
    path = env_file(tmp_path / "upvest.env", GOOD)
    environ = {"UPVEST_API_KEY_ID": "key-2", "UPVEST_API_CLIENT_SECRET": "secret-2"}
    settings = Settings.from_env(path, environ=environ, client_secret="secret-3", scopes=["x"])
    assert (settings.key_id, settings.client_secret) == ("key-2", "secret-3")
    assert settings.scopes == ("x",)


def test_arguments_alone() -> None:
    settings = Settings.from_env(
        None,
        environ={"UPVEST_API_HTTP_SIGN_PRIVATE_KEY_FILENAME": "/nowhere"},
        base_url="https://api.upvest.co",
        key_id="k",
        client_id=CLIENT,
        client_secret="s",
        private_key=PEM,
        passphrase="pässphrase".encode(),
    )
    assert settings.base_url == "https://api.upvest.co"


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    found = problems(lambda: Settings.from_env(tmp_path / "missing.env", environ=GOOD))
    assert "does not exist" in found[0]


def test_the_default_file_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_env(environ=GOOD).key_id == "key-1"
    env_file(tmp_path / ".env", {"UPVEST_API_KEY_ID": "from-file"})
    without = {name: value for name, value in GOOD.items() if "KEY_ID" not in name}
    assert Settings.from_env(environ=without).key_id == "from-file"


def test_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_env(None).key_id == "key-1"
