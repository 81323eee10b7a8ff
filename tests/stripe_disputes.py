"""Disputes as Stripe documents them, for the proxy in front of localstripe, which has none: their
documents, their balance transactions, and the requests that read and answer them."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

FEE: Final = 1_500
"""Minor units, for each dispute. Stripe keeps it when the merchant wins."""

RESPONSE_SECONDS: Final = 7 * 24 * 3600

RetrieveIntent = Callable[[str], Any]


class DisputeRefused(Exception):
    """The request does not fit the dispute's state."""


@dataclass
class DisputeBook:
    """The disputes of a Stripe account."""

    retrieve_intent: RetrieveIntent
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id, oldest first."""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def open(self, intent: Mapping[str, Any], amount: int, status: str = "needs_response") -> Any:
        """Withdraw the amount and the fee. Returns the dispute."""
        with self._lock:
            now, number = int(time.time()), next(self._numbers)
            document: dict[str, Any] = {
                "id": f"du_{number:024}",
                "object": "dispute",
                "amount": amount,
                "balance_transactions": [],
                "charge": intent["latest_charge"]["id"],
                "created": now,
                "currency": intent["currency"],
                "evidence": {},
                "evidence_details": {
                    "due_by": now + RESPONSE_SECONDS,
                    "has_evidence": False,
                    "past_due": False,
                    "submission_count": 0,
                },
                "is_charge_refundable": False,
                "livemode": False,
                "metadata": {},
                "payment_intent": intent["id"],
                "reason": "fraudulent",
                "status": status,
            }
            self.documents[document["id"]] = document
            self._move(document, -amount, FEE)
            return dict(document)

    def decide(self, id: str, status: str) -> Any:
        """The bank's decision: `won` or `lost`."""
        with self._lock:
            document = self.documents[id]
            if document["status"] in ("won", "lost"):
                raise DisputeRefused
            document["status"] = status
            if status == "won":
                self._move(document, document["amount"], 0)
                document["is_charge_refundable"] = True
            return dict(document)

    def answer(self, method: str, path: str, params: Mapping[str, str]) -> Any:
        """The object that a request is answered with. Raises KeyError for an unknown dispute, and
        DisputeRefused."""
        if path == "/v1/disputes":
            found = self.list_of(params["payment_intent"])
            return {"object": "list", "data": found, "has_more": False, "url": path}
        _, _, _, id, *action = path.split("/")
        with self._lock:
            document = self.documents[id]
            if method == "POST":
                self._respond(document, params, is_accepted=action == ["close"])
            return self.expand(document)

    def list_of(self, intent_id: str) -> Sequence[Any]:
        with self._lock:
            disputes = list(self.documents.values())
        return [dict(one) for one in disputes if one["payment_intent"] == intent_id]

    def is_disputed(self, intent_id: str) -> bool:
        """Whether Stripe refuses a refund."""
        return any(not dispute["is_charge_refundable"] for dispute in self.list_of(intent_id))

    def list_lines(self) -> Sequence[Any]:
        """All balance transactions."""
        with self._lock:
            return [
                line
                for document in self.documents.values()
                for line in document["balance_transactions"]
            ]

    def compute_net(self, intent_id: str) -> int:
        """What the disputes of a PaymentIntent have moved, with their fees: zero or negative."""
        return sum(
            line["net"]
            for dispute in self.list_of(intent_id)
            for line in dispute["balance_transactions"]
        )

    def expand(self, document: Mapping[str, Any]) -> Any:
        """With its PaymentIntent instead of the id."""
        return {**document, "payment_intent": self.retrieve_intent(document["payment_intent"])}

    def _respond(
        self, document: dict[str, Any], params: Mapping[str, str], *, is_accepted: bool
    ) -> None:
        if document["status"] != "needs_response":
            raise DisputeRefused
        if is_accepted:
            document["status"] = "lost"
            return
        evidence = {name: text for name, text in params.items() if name.startswith("evidence[")}
        document["evidence"] = {name[len("evidence[") : -1]: evidence[name] for name in evidence}
        if params.get("submit") in ("true", "True"):
            document["status"] = "under_review"
            details = document["evidence_details"]
            document["evidence_details"] = {**details, "has_evidence": True, "submission_count": 1}

    def _move(self, document: dict[str, Any], amount: int, fee: int) -> None:
        is_withdrawn = amount < 0
        word = "withdrawal" if is_withdrawn else "reversal"
        detail = {"amount": fee, "currency": document["currency"], "type": "stripe_fee"}
        line = {
            "id": f"txn_dispute{next(self._numbers):017}",
            "object": "balance_transaction",
            "amount": amount,
            "created": int(time.time()),
            "currency": document["currency"],
            "description": f"Chargeback {word} for {document['charge']}",
            "fee": fee,
            "fee_details": [{**detail, "description": "Dispute fee"}] if fee else [],
            "net": amount - fee,
            "reporting_category": "dispute" if is_withdrawn else "dispute_reversal",
            "source": document["id"],
            "status": "available",
            "type": "adjustment",
        }
        document["balance_transactions"] = [*document["balance_transactions"], line]
