"""Callers that order, repeat, read and misbehave at random until they are told to stop."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from fault.hostile import HOSTILE
from fault.http_client import Caller
from fault.oracle import RETRIED, Answer, FirstAnswer, Order, Shop, digest
from processes import PAUSE

PAUSE_SECONDS: Final = 0.03
"""On average between two actions of a payer: leaves the processes under test most of a small
machine."""

BATCH_PAUSE_SECONDS: Final = 0.35

BATCH_SIZES: Final = (1, 2, 20, 100, 200, 300, 600)

DUPLICATES: Final = 4
"""At once, with one key."""

REMEMBERED: Final = 300
"""First answers that a caller keeps to ask for again."""

SOURCES: Final[Mapping[str, float]] = {
    "tok_visa": 50,
    "tok_mastercard": 30,
    "tok_chargeDeclined": 8,
    "tok_chargeDeclinedInsufficientFunds": 5,
    "tok_chargeDeclinedExpiredCard": 4,
    RETRIED: 0.3,
}
"""How often each is used. The last is retried for seconds: few, or they would be all that is ever
open."""


@dataclass
class Payer:
    """One caller with its dice."""

    name: str
    caller: Caller
    shops: Sequence[Shop]
    dice: random.Random
    pause: float = PAUSE_SECONDS
    firsts: list[FirstAnswer] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    balances: dict[UUID, int] = field(default_factory=dict)
    _count: int = 0

    def run(self, over: threading.Event) -> None:
        actions, weights = zip(*self.actions(), strict=True)
        while not over.is_set():
            [act] = self.dice.choices(actions, weights)
            act()
            PAUSE.wait(self.dice.expovariate(1 / self.pause))

    def actions(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.pay_with_key, 60),
            (self.pay_without_key, 8),
            (self.pay_many_times_at_once, 4),
            (self.repeat, 10),
            (self.reuse_key, 4),
            (self.read, 8),
            (self.read_balance, 4),
            (self.misbehave, 6),
        ]

    def new_order(self) -> Order:
        self._count += 1
        shop = self.dice.choice(self.shops)
        [source] = self.dice.choices(tuple(SOURCES), tuple(SOURCES.values()))
        currency = self.dice.choice(tuple(shop.accounts))
        token = f"{self.name}-{self._count}"
        return Order(token, shop, self.dice.randint(1, 100_000), currency, source)

    def pay_with_key(self) -> None:
        order = self.new_order()
        reply = self.caller.pay(order, order.token)
        if reply is not None and reply.status == 202:
            self._remember([order], "/payments", order.content, order.token, reply.raw)

    def pay_without_key(self) -> None:
        order = self.new_order()
        self.caller.pay(order, None)
        if order.answer is Answer.ACCEPTED:
            self.orders.append(order)

    def pay_many_times_at_once(self) -> None:
        """Duplicates that meet: one payment, and the same bytes for all."""
        order = self.new_order()
        with ThreadPoolExecutor(DUPLICATES) as threads:
            asked = [threads.submit(self.caller.pay, order, order.token) for _ in range(DUPLICATES)]
        replies = [reply for each in asked if (reply := each.result()) is not None]
        bodies = {reply.raw for reply in replies}
        self._check("I7", len(bodies) == 1, f"{order.token} at once: {bodies}")
        self._remember([order], "/payments", order.content, order.token, replies[0].raw)

    def repeat(self) -> None:
        """Byte for byte what was answered first."""
        if not self.firsts:
            return
        first = self.dice.choice(self.firsts)
        reply = self.caller.send(first.shop, "POST", first.path, first.body, first.key)
        if reply is None:
            return
        same = reply.status == 202 and digest(reply.raw) == first.digest
        self._check("I7", same, f"{first.key} again: {reply.status} {reply.raw[:300]!r}")
        replayed = reply.headers.get("Idempotent-Replayed") == "true"
        self._check("I7", replayed, f"{first.key} again: {reply.headers}")

    def reuse_key(self) -> None:
        """The key of another request is refused, and the order has no effect."""
        if not self.firsts:
            return
        first = self.dice.choice(self.firsts)
        order = self.new_order()
        order.shop = first.shop
        self.caller.book.ordered([order])
        reply = self.caller.send(first.shop, "POST", "/payments", order.content, first.key)
        if reply is not None:
            self.caller.book.refused([order])
            self._check("I7", reply.status == 422, f"{first.key} reused: {reply.status}")

    def read(self) -> None:
        if not self.orders:
            return
        order = self.dice.choice(self.orders)
        reply = self.caller.send(order.shop, "GET", f"/payments/{order.payment_id}")
        if reply is None:
            return
        if self._check("I9", reply.status == 200, f"{order.token} reads {reply.status}"):
            self.caller.book.read(order, reply.data["payment"])

    def read_balance(self) -> None:
        """Of an account that is only ever credited."""
        shop = self.dice.choice(self.shops)
        account = shop.accounts[self.dice.choice(tuple(shop.accounts))]
        reply = self.caller.send(shop, "GET", f"/accounts/{account}")
        if reply is None:
            return
        if self._check("I9", reply.status == 200, f"account {account} reads {reply.status}"):
            before, now = self.balances.get(account, 0), reply.data["balance"]
            self._check("I2", now >= before, f"account {account}: {before}, then {now}")
            self.balances[account] = now

    def misbehave(self) -> None:
        bad = self.dice.choice(HOSTILE)
        shop = self.dice.choice(self.shops)
        reply = self.caller.send(shop, bad.method, bad.path, bad.body, headers=bad.headers)
        if reply is not None:
            self._check("hostile", reply.status == bad.status, f"{bad.what}: {reply.status}")

    def _remember(
        self, orders: Sequence[Order], path: str, body: Any, key: str, raw: bytes
    ) -> None:
        first = FirstAnswer(path, body, key, orders[0].shop, digest(raw), orders)
        self.firsts.append(first)
        self.orders.extend(orders)
        del self.firsts[:-REMEMBERED]
        del self.orders[:-REMEMBERED]

    def _check(self, rule: str, holds: bool, what: str) -> bool:
        return self.caller.book.check(rule, holds=holds, what=what)


@dataclass
class Batcher(Payer):
    """Orders in batches: with a key for the whole call, with one for each item, or both."""

    pause: float = BATCH_PAUSE_SECONDS

    def actions(self) -> list[tuple[Callable[[], None], float]]:
        return [(self.pay_all, 85), (self.repeat, 8), (self.pay_all_but_one, 7)]

    def pay_all(self) -> None:
        orders = self._orders_of_one_shop()
        key = f"{orders[0].token}-batch"
        keyed = self.dice.random() < 0.5
        body = {"payments": [self._item(order, keyed=keyed) for order in orders]}
        self.caller.book.ordered(orders)
        reply = self.caller.send(orders[0].shop, "POST", "/payments/batch", body, key)
        self.caller.note(reply, orders, lambda data: data["payments"])
        if reply is not None and reply.status == 202:
            self._remember(orders, "/payments/batch", body, key, reply.raw)

    def pay_all_but_one(self) -> None:
        """One bad item, and none is taken."""
        orders = self._orders_of_one_shop()
        content: list[dict[str, object]] = [order.content for order in orders]
        self.dice.choice(content)["amount"] = 0
        self.caller.book.ordered(orders)
        body = {"payments": content}
        reply = self.caller.send(
            orders[0].shop, "POST", "/payments/batch", body, f"{orders[0].token}-bad"
        )
        if reply is not None:
            self.caller.book.refused(orders)
            self._check("hostile", reply.status == 400, f"a bad item: {reply.status}")

    def _orders_of_one_shop(self) -> list[Order]:
        orders = [self.new_order() for _ in range(self.dice.choice(BATCH_SIZES))]
        for order in orders:
            order.shop = orders[0].shop
        return orders

    def _item(self, order: Order, *, keyed: bool) -> dict[str, object]:
        return order.content | ({"idempotencyKey": order.token} if keyed else {})
