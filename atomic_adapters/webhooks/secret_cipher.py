"""Signing secrets are stored encrypted with keys that the database does not have."""

from collections.abc import Sequence

from atomic_core.ports.secret_cipher import EncryptionUnavailable, SecretUnreadable


class FernetSecretCipher:
    """AES-128-CBC with HMAC-SHA256 (https://github.com/fernet/spec). The first key encrypts, all of
    them decrypt, so that a key is replaced by putting a new one in front."""

    def __init__(self, keys: Sequence[str]) -> None:
        # Imported here: most commands of the CLI need no cipher, and importing it takes a while.
        from cryptography.fernet import Fernet, MultiFernet

        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    @property
    def is_available(self) -> bool:
        return self._fernet is not None

    def encrypt(self, secret: str) -> bytes:
        if self._fernet is None:
            raise EncryptionUnavailable(
                "Webhooks are off: WEBHOOK_ENCRYPTION_KEYS is not set."
                " `atomic webhooks new-key` prints a key."
            )
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, token: bytes) -> str:
        if self._fernet is None:
            raise SecretUnreadable("WEBHOOK_ENCRYPTION_KEYS is not set.")
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(token).decode()
        except InvalidToken as error:
            raise SecretUnreadable(
                "No key in WEBHOOK_ENCRYPTION_KEYS decrypts this signing secret."
            ) from error


def generate_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode("ascii")
