"""A caller that holds money, captures it, lets go of it and gives it back; alone, and against
itself at the same moment. Holds that it does not come back to expire."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from fault.load_generator import REMEMBERED, Payer
from fault.oracle import Order, Return
from processes import Reply

HELD: Final[Mapping[str, float]] = {
    "tok_visa": 70,
    "tok_chargeDeclined": 4,
    "tok_captureDeclined": 8,
    "tok_refundDeclined": 8,
    "tok_slow": 4,
}

AT_ONCE: Final = 4
"""Refunds of one payment, of 30 % each: three fit."""


@dataclass
class Keeper(Payer):
    held: list[Order] = field(default_factory=list)
    taken: list[Order] = field(default_factory=list)
    _asked: int = 0

    def actions(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.hold, 40),
            (self.decide, 25),
            (self.decide_both_ways_at_once, 8),
            (self.give_back, 20),
            (self.give_back_too_much_at_once, 4),
            (self.read_account, 5),
        ]

    def hold(self) -> None:
        order = self.new_order()
        order.is_held = True
        [order.source] = self.dice.choices(tuple(HELD), tuple(HELD.values()))
        reply = self.caller.pay(order, order.token)
        if reply is not None and reply.status == 202:
            self.held.append(order)
            # Those that are forgotten expire.
            del self.held[:-REMEMBERED]

    def decide(self) -> None:
        if self.held:
            order = self.dice.choice(self.held)
            (self._capture if self.dice.random() < 0.7 else self._cancel)(order)
            self._let_go_of_ended()

    def decide_both_ways_at_once(self) -> None:
        """Capture against cancellation, and now and then against expiry: one wins at most."""
        if not self.held:
            return
        order = self.dice.choice(self.held)
        with ThreadPoolExecutor(2) as threads:
            each = [threads.submit(ask, order) for ask in (self._capture, self._cancel)]
        for asked in each:
            asked.result()
        both = order.captured is not None and order.canceled
        self._check("one winner", not both, f"{order.token} is captured and canceled")
        self._let_go_of_ended()

    def give_back(self) -> None:
        if self.taken:
            order = self.dice.choice(self.taken)
            self._refund(order, self.dice.randint(1, max(1, (order.captured or 1) // 2)))

    def give_back_too_much_at_once(self) -> None:
        if not self.taken:
            return
        order = self.dice.choice(self.taken)
        amount = max(1, (order.captured or 1) * 3 // 10)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            each = [threads.submit(self._refund, order, amount) for _ in range(AT_ONCE)]
        for asked in each:
            asked.result()

    def read_account(self) -> None:
        shop = self.dice.choice(self.shops)
        account = shop.accounts[self.dice.choice(tuple(shop.accounts))]
        reply = self.caller.send(shop, "GET", f"/accounts/{account}")
        if reply is None:
            return
        told = reply.data
        rest = told["balance"] - told["pending"]["out"]
        holds = told["available"] == rest >= 0 and told["pending"]["in"] >= 0
        self._check("I3", holds, f"account {account} reads {told}")

    def _capture(self, order: Order) -> None:
        amount = self.dice.randint(1, order.amount)
        reply = self._ask(order, "capture", {"amount": amount})
        if reply is not None and reply.status == 202:
            order.captured = amount
            self.taken.append(order)
            del self.taken[:-REMEMBERED]

    def _cancel(self, order: Order) -> None:
        reply = self._ask(order, "cancel", {"reason": "abandoned"})
        if reply is not None and reply.status == 202:
            order.canceled = True

    def _refund(self, order: Order, amount: int) -> None:
        self._asked += 1
        asked = Return(f"{order.token}-r{self._asked}", order, amount)
        self.caller.book.returning(asked)
        body = {"amount": amount, "reason": asked.token}
        path = f"/payments/{order.payment_id}/refunds"
        reply = self.caller.send(order.shop, "POST", path, body, asked.token)
        if reply is None:
            return
        self._check("answer", reply.status in (202, 409), f"{asked.token}: {reply.raw[:300]!r}")
        if reply.status == 202:
            asked.granted, asked.refund_id = True, reply.data["id"]

    def _ask(self, order: Order, verb: str, body: Mapping[str, object]) -> Reply | None:
        self._asked += 1
        key = f"{order.token}-{verb}{self._asked}"
        path = f"/payments/{order.payment_id}/{verb}"
        reply = self.caller.send(order.shop, "POST", path, body, key)
        if reply is None:
            return None
        self._check("answer", reply.status in (202, 409), f"{key}: {reply.raw[:300]!r}")
        if reply.status == 409:
            [order.status] = json.loads(reply.raw)["error"]["details"]["status"]
            told = order.status != "AUTHORIZED"
            self._check("one winner", told, f"{key}: refused, and the state is AUTHORIZED")
        return reply

    def _let_go_of_ended(self) -> None:
        ended = ("SUCCESS", "FAILED", "CANCELED")
        self.held = [
            order
            for order in self.held
            if order.captured is None and not order.canceled and order.status not in ended
        ]
