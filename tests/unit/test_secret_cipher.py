"""Signing secrets are encrypted with keys that can be replaced."""

import pytest

from atomic_adapters.settings import Settings
from atomic_adapters.webhooks.secret_cipher import FernetSecretCipher, generate_key
from atomic_adapters.webhooks.signature import generate_secret
from atomic_adapters.wiring import build_secret_cipher
from atomic_core.ports.secret_cipher import EncryptionUnavailable, SecretUnreadable

SECRET = generate_secret()


def test_secret_is_encrypted_differently_each_time_and_decrypted() -> None:
    cipher = FernetSecretCipher([generate_key()])
    tokens = {cipher.encrypt(SECRET) for _ in range(2)}
    assert len(tokens) == 2
    assert {cipher.decrypt(token) for token in tokens} == {SECRET}
    assert all(SECRET.encode() not in token for token in tokens)


def test_first_key_encrypts_and_all_decrypt() -> None:
    old, new = generate_key(), generate_key()
    token = FernetSecretCipher([old]).encrypt(SECRET)
    rotated = FernetSecretCipher([new, old])
    assert rotated.decrypt(token) == SECRET
    assert FernetSecretCipher([new]).decrypt(rotated.encrypt(SECRET)) == SECRET


def test_secret_of_another_key_or_a_changed_token_is_unreadable() -> None:
    cipher = FernetSecretCipher([generate_key()])
    token = FernetSecretCipher([generate_key()]).encrypt(SECRET)
    changed = bytearray(cipher.encrypt(SECRET))
    changed[20] ^= 1
    for unreadable in (token, bytes(changed), b"", b"\xff"):
        with pytest.raises(SecretUnreadable) as refused:
            cipher.decrypt(unreadable)
        assert SECRET not in str(refused.value)


def test_cipher_without_keys_is_not_available() -> None:
    cipher = FernetSecretCipher([])
    assert not cipher.is_available
    with pytest.raises(EncryptionUnavailable, match=r"WEBHOOK_ENCRYPTION_KEYS is not set.*new-key"):
        cipher.encrypt(SECRET)
    with pytest.raises(SecretUnreadable, match="WEBHOOK_ENCRYPTION_KEYS is not set"):
        cipher.decrypt(FernetSecretCipher([generate_key()]).encrypt(SECRET))


def test_cipher_of_the_settings() -> None:
    keys = [generate_key(), generate_key()]
    environ = {"DATABASE_URL": "postgresql:///atomic"}
    assert not build_secret_cipher(Settings.from_environ(environ)).is_available
    settings = Settings.from_environ(environ | {"WEBHOOK_ENCRYPTION_KEYS": f"{keys[0]}, {keys[1]}"})
    cipher = build_secret_cipher(settings)
    assert cipher.is_available
    assert FernetSecretCipher(keys[:1]).decrypt(cipher.encrypt(SECRET)) == SECRET
    assert all(key not in repr(settings) for key in keys)
