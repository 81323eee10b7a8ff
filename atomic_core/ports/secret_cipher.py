"""Encryption of the signing secrets that are stored."""

from typing import Protocol


class SecretUnreadable(Exception):
    """No configured key decrypts this token: its key was removed, or the token was changed."""


class EncryptionUnavailable(Exception):
    """No encryption key is configured."""


class SecretCipher(Protocol):
    @property
    def is_available(self) -> bool:
        """Whether a key is configured. Without one, webhooks are off."""
        ...

    def encrypt(self, secret: str) -> bytes:
        """With the first key. Raises EncryptionUnavailable."""
        ...

    def decrypt(self, token: bytes) -> str:
        """With any of the keys. Raises SecretUnreadable."""
        ...
