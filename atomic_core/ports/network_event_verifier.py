"""The format and the signature of a card network's events."""

from typing import Protocol

from atomic_core.domain.network_events import NetworkEvent


class NetworkEventVerifier(Protocol):
    def verify(self, body: bytes, signature: str) -> NetworkEvent | None:
        """The event; None if it concerns no payment or refund of Atomic's, or is of a type that
        nothing acts on. Raises EventSignatureInvalid unless the network has signed the body within
        the last five minutes, ValidationFailed if it is no event."""
        ...
