"""The face of the client: one object per kind of resource."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar, Unpack

from atomic_payments.models import (
    Account,
    AccountUpdate,
    Event,
    IssuedWebhookEndpoint,
    NewAccount,
    NewPayment,
    Payment,
    Refund,
    SubtreeBalances,
    WebhookEndpoint,
)
from atomic_payments.transport import Query, Transport, quote_id

MAX_WAIT_SECONDS: Final = 30
"""The longest `wait` of one request."""

OPEN: Final = frozenset({"PENDING", "PROCESSING"})
"""Statuses that a worker still changes."""

Item = TypeVar("Item", Payment, Refund)


class Atomic:
    """A client of one merchant. Threads may share it. `base_url` and `api_key` are by default those
    of the environment, BASE_URL and API_KEY, as `make run` writes them."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = 10,
        max_retries: int = 4,
        max_retry_after: float = 30,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout` is of one try, in seconds. An error whose `Retry-After` is longer than
        `max_retry_after` is raised at once."""
        transport = Transport(
            base_url or os.environ["BASE_URL"],
            api_key or os.environ["API_KEY"],
            timeout,
            max_retries,
            max_retry_after,
            sleep,
        )
        self.payments = Payments(transport)
        self.refunds = Refunds(transport)
        self.accounts = Accounts(transport)
        self.events = Events(transport)
        self.webhook_endpoints = WebhookEndpoints(transport)
        self._transport = transport

    def close(self) -> None:
        """Close its connections. A client that is used in a `with` statement does so at its end."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Payments:
    transport: Transport

    def create(
        self, *, idempotency_key: str | None = None, **payment: Unpack[NewPayment]
    ) -> Payment:
        """Accept a payment, which is settled shortly after. Give your order's id as the
        `idempotency_key`: a second call with it returns the first payment."""
        return self.transport.request(
            "POST", "/payments", body=payment, idempotency_key=idempotency_key
        )

    def create_and_wait(
        self,
        *,
        timeout: float = MAX_WAIT_SECONDS,
        idempotency_key: str | None = None,
        **payment: Unpack[NewPayment],
    ) -> Payment:
        """Create a payment and return it when it is settled, AUTHORIZED or REQUIRES_ACTION; after
        `timeout` seconds as it is then, PENDING or PROCESSING."""
        return _wait_for(
            self.transport, "/payments", payment, idempotency_key, timeout, self._get_waiting
        )

    def get(self, id: str) -> Payment:
        return self._get_waiting(id, 0)

    def list(self, **filters: str | int) -> Iterator[Payment]:
        """Every payment, newest first. `status`, `currency`, `createdFrom`, `amountMin`, …; pages
        are read when they are needed."""
        return _iterate_pages(self.transport, "/payments", filters)

    def capture(
        self,
        id: str,
        amount: int | None = None,
        *,
        timeout: float = 0,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Capture a hold, or `amount` of it. With a `timeout`, wait as `create_and_wait` does."""
        body = {} if amount is None else {"amount": amount}
        path = f"/payments/{quote_id(id)}/capture"
        return _wait_for(self.transport, path, body, idempotency_key, timeout, self._get_waiting)

    def cancel(
        self,
        id: str,
        reason: str | None = None,
        *,
        timeout: float = 0,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Release a hold."""
        body = {} if reason is None else {"reason": reason}
        path = f"/payments/{quote_id(id)}/cancel"
        return _wait_for(self.transport, path, body, idempotency_key, timeout, self._get_waiting)

    def _get_waiting(self, id: str, wait: int) -> Payment:
        query: Query = {"wait": wait or None}
        path = f"/payments/{quote_id(id)}"
        return self.transport.request("GET", path, query=query, wait=wait)["payment"]


@dataclass(frozen=True, slots=True)
class Refunds:
    transport: Transport

    def create(
        self,
        payment_id: str,
        amount: int | None = None,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        timeout: float = 0,
        idempotency_key: str | None = None,
    ) -> Refund:
        """Refund a payment, or `amount` of it. With a `timeout`, wait until it is settled."""
        given = {"amount": amount, "reason": reason, "metadata": metadata}
        body = {name: value for name, value in given.items() if value is not None}
        path = f"/payments/{quote_id(payment_id)}/refunds"
        return _wait_for(self.transport, path, body, idempotency_key, timeout, self._get_waiting)

    def get(self, id: str) -> Refund:
        return self._get_waiting(id, 0)

    def list(self, **filters: str | int) -> Iterator[Refund]:
        """Every refund, newest first; of one payment with `paymentId`."""
        return _iterate_pages(self.transport, "/refunds", filters)

    def _get_waiting(self, id: str, wait: int) -> Refund:
        query: Query = {"wait": wait or None}
        return self.transport.request("GET", f"/refunds/{quote_id(id)}", query=query, wait=wait)


@dataclass(frozen=True, slots=True)
class Accounts:
    transport: Transport

    def create(
        self, *, idempotency_key: str | None = None, **account: Unpack[NewAccount]
    ) -> Account:
        """Open an account of your own chart."""
        return self.transport.request(
            "POST", "/accounts", body=account, idempotency_key=idempotency_key
        )

    def get(self, id: str) -> Account:
        return self.transport.request("GET", f"/accounts/{quote_id(id)}")

    def list(self, **filters: str | int) -> Iterator[Account]:
        """Every account, newest first. `type`, `prefix`, `externalId`, `balanceMin`, …; pages are
        read when they are needed. A pair of metadata is `**{"metadata[tier]": "gold"}`."""
        return _iterate_pages(self.transport, "/accounts", filters)

    def update(
        self, id: str, *, idempotency_key: str | None = None, **changes: Unpack[AccountUpdate]
    ) -> Account:
        """Rename, freeze, close or reopen an account, or replace its metadata."""
        path = f"/accounts/{quote_id(id)}"
        return self.transport.request("PATCH", path, body=changes, idempotency_key=idempotency_key)

    def balances(self, prefix: str | None = None) -> SubtreeBalances:
        """The sums by currency of the accounts whose names have this prefix, such as `wallets`; of
        all without one."""
        return self.transport.request("GET", "/accounts/balances", query={"prefix": prefix})


@dataclass(frozen=True, slots=True)
class Events:
    transport: Transport

    def get(self, id: str) -> Event:
        return self.transport.request("GET", f"/events/{quote_id(id)}")

    def list(self, **filters: str | int) -> Iterator[Event]:
        """The stream of events: `after`, `type`, `paymentId`, `order`."""
        return _iterate_pages(self.transport, "/events", filters)


@dataclass(frozen=True, slots=True)
class WebhookEndpoints:
    transport: Transport

    def create(
        self,
        url: str,
        *,
        event_types: list[str] | None = None,
        description: str = "",
        ordered: bool = False,
        idempotency_key: str | None = None,
    ) -> IssuedWebhookEndpoint:
        """The endpoint and its `secret` for `verify_webhook`, which is returned only once."""
        body = {
            "url": url,
            "eventTypes": event_types or [],
            "description": description,
            "ordered": ordered,
        }
        return self.transport.request(
            "POST", "/webhook-endpoints", body=body, idempotency_key=idempotency_key
        )

    def get(self, id: str) -> WebhookEndpoint:
        return self.transport.request("GET", f"/webhook-endpoints/{quote_id(id)}")

    def list(self) -> list[WebhookEndpoint]:
        return self.transport.request("GET", "/webhook-endpoints")

    def rotate_secret(
        self, id: str, *, idempotency_key: str | None = None
    ) -> IssuedWebhookEndpoint:
        """A new secret; webhooks are signed with the old one too for a while."""
        path = f"/webhook-endpoints/{quote_id(id)}/rotate-secret"
        return self.transport.request("POST", path, idempotency_key=idempotency_key)

    def delete(self, id: str) -> WebhookEndpoint:
        return self.transport.request("DELETE", f"/webhook-endpoints/{quote_id(id)}")


def _wait_for(
    transport: Transport,
    path: str,
    body: Mapping[str, object],
    idempotency_key: str | None,
    timeout: float,
    get: Callable[[str, int], Item],
) -> Item:
    """Send the request and read its resource, with `wait`, until it is not open or time is over."""
    deadline = time.monotonic() + timeout
    seconds = _limit_wait(timeout)
    item: Item = transport.request(
        "POST",
        path,
        body=body,
        query={"wait": seconds or None},
        idempotency_key=idempotency_key,
        wait=seconds,
    )
    while item["status"] in OPEN and (seconds := _limit_wait(deadline - time.monotonic())):
        item = get(item["id"], seconds)
    return item


def _limit_wait(seconds: float) -> int:
    return max(0, min(MAX_WAIT_SECONDS, round(seconds)))


def _iterate_pages(transport: Transport, path: str, filters: Mapping[str, str | int]) -> Any:
    cursor: str | None = None
    while True:
        page = transport.request("GET", path, query={"limit": 100, **filters, "cursor": cursor})
        yield from page["items"]
        cursor = page["nextCursor"]
        if cursor is None:
            return
