"""Every form of key that the documentation names loads; every other says what it is."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from upvest_rebalancing.errors import KeyLoadError
from upvest_rebalancing.protocol.keys import ED25519, P521, load_private_key

VECTORS = Path(__file__).parent.parent / "vectors"
P521_KEY = ec.generate_private_key(ec.SECP521R1())
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()
SECRET = BestAvailableEncryption(b"correct horse")
PLAIN = NoEncryption()
SEC1, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIw==\n-----END EC PARAMETERS-----\n"


@pytest.mark.parametrize("prefix", [b"", PARAMETERS], ids=["bare", "parameters"])
@pytest.mark.parametrize(
    ("form", "encryption"),
    [(SEC1, PLAIN), (SEC1, SECRET), (PKCS8, PLAIN), (PKCS8, SECRET)],
    ids=["sec1", "sec1-encrypted", "pkcs8", "pkcs8-encrypted"],
)
def test_p521(prefix: bytes, form: PrivateFormat, encryption: KeySerializationEncryption) -> None:
    pem = P521_KEY.private_bytes(Encoding.PEM, form, encryption)
    key = load_private_key(prefix + pem, b"correct horse")
    assert key.algorithm == P521
    P521_KEY.public_key().verify(key.sign(b"data"), b"data", ec.ECDSA(SHA512()))


@pytest.mark.parametrize("encryption", [PLAIN, SECRET], ids=["plain", "encrypted"])
def test_ed25519(encryption: KeySerializationEncryption) -> None:
    key = load_private_key(
        ED25519_KEY.private_bytes(Encoding.PEM, PKCS8, encryption), b"correct horse"
    )
    assert key.algorithm == ED25519
    ED25519_KEY.public_key().verify(key.sign(b"data"), b"data")


def test_old_openssl_encryption_is_what_is_tested() -> None:
    pem = P521_KEY.private_bytes(Encoding.PEM, SEC1, SECRET)
    assert b"Proc-Type: 4,ENCRYPTED" in pem
    assert b"DEK-Info: AES-256-CBC," in pem


def test_keys_made_by_openssl_itself() -> None:
    # openssl ecparam -genkey -name secp521r1 | openssl ec -aes256, with the passphrase hunter2.
    plain = (VECTORS / "openssl-p521.pem").read_bytes()
    encrypted = (VECTORS / "openssl-p521-aes256.pem").read_bytes()
    assert b"EC PARAMETERS" in plain
    assert load_private_key(plain).algorithm == P521
    assert load_private_key(encrypted, b"hunter2").algorithm == P521


def public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def plain(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PKCS8, PLAIN)


ENCRYPTED = P521_KEY.private_bytes(Encoding.PEM, SEC1, SECRET)
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("pem", "passphrase", "words"),
    [
        (ENCRYPTED, b"wrong", "passphrase is wrong"),
        (ENCRYPTED, None, "no passphrase is given"),
        (ENCRYPTED, b"", "no passphrase is given"),
        (plain(ec.generate_private_key(ec.SECP256R1())), None, "curve secp256r1"),
        (plain(rsa.generate_private_key(65537, 2048)), None, "of the kind RSA"),
        (public(P521_KEY), None, "public key"),
        (CERTIFICATE, None, "certificate"),
        (b"", None, "empty"),
        (b"hello", None, "no PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None, "damaged"),
    ],
)
def test_what_can_not_be_used_says_why(pem: bytes, passphrase: bytes | None, words: str) -> None:
    with pytest.raises(KeyLoadError, match=words) as caught:
        load_private_key(pem, passphrase)
    assert caught.value.problems == (caught.value.message,)
    assert "correct horse" not in str(caught.value)


def test_keys_do_not_show_themselves() -> None:
    pem = P521_KEY.private_bytes(Encoding.PEM, SEC1, PLAIN)
    assert repr(load_private_key(pem)) == f"<private key, {P521}>"
    pem = ED25519_KEY.private_bytes(Encoding.PEM, PKCS8, PLAIN)
    assert repr(load_private_key(pem)) == f"<private key, {ED25519}>"
