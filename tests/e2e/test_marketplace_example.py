"""The documented books of a marketplace are what the real system answers: this test posts them by
the API and compares every line with the documentation."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from processes import Client, System, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "ledger.md"
MARK = "<!-- written by tests/e2e/test_marketplace_example.py -->\n```text\n"


@dataclass
class Marketplace:
    """Sends requests for a merchant of its own, and writes them down with names for ids."""

    client: Client
    names: dict[str, str]
    """By id."""
    lines: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        text = f" {json.dumps(body)}" if body is not None else ""
        line = f"{method} {path}{text}"
        for id, name in self.names.items():
            line = line.replace(id, f"{{{name}}}")
        self.lines.append(line)
        reply = self.client.request(method, path, body)
        assert reply.status == status, reply.raw
        return reply.data

    def open_account(self, name: str, type: str) -> str:
        account = self.request(
            "POST", "/accounts", {"name": name, "currency": "USD", "type": type}, 201
        )
        self.names[account["id"]] = name
        return account["id"]

    def pay(self, amount: int, name: str) -> str:
        """A buyer pays by card."""
        order = {"amount": amount, "currency": "USD", "source": "tok_visa"}
        id = self.request("POST", "/payments", order, 202)["id"]
        self.names[id] = name
        wait_until(lambda: self.client.status(id) == "SUCCESS", 60, f"{name} is settled")
        return id

    def refund(self, payment_id: str) -> None:
        refund = self.request("POST", f"/payments/{payment_id}/refunds", {}, 202)
        path = f"/refunds/{refund['id']}"

        def is_settled() -> bool:
            return self.client.request("GET", path).data["status"] == "SUCCESS"

        wait_until(is_settled, 60, "the refund is settled")

    def post(self, name: str, *entries: tuple[str, int]) -> str:
        body = {"entries": [{"accountId": id, "amount": amount} for id, amount in entries]}
        transaction = self.request("POST", "/ledger/transactions", body, 201)
        self.names[transaction["id"]] = name
        self.add_entries(transaction)
        return transaction["id"]

    def reverse(self, transaction_id: str) -> None:
        path = f"/ledger/transactions/{transaction_id}/reverse"
        self.add_entries(self.request("POST", path, {}, 201))

    def add_entries(self, transaction: Any) -> None:
        for entry in transaction["entries"]:
            name, after = self.names[entry["accountId"]], entry["balanceAfter"]
            self.lines.append(f"  {name:13} {entry['amount']:+7}  balance {after:6}")

    def add_balances(self) -> dict[str, int]:
        accounts = self.request("GET", "/accounts")["items"]
        balances = {self.names[account["id"]]: account["balance"] for account in accounts}
        types = {self.names[account["id"]]: account["type"] for account in accounts}
        self.lines += [f"  {name:13} {types[name]:9} {balances[name]:6}" for name in balances]
        return balances

    def add_sellers(self) -> Any:
        [row] = self.request("GET", "/accounts/balances?prefix=sellers")["items"]
        self.lines.append(f"  {row['accounts']} accounts, balance {row['balance']}")
        return row

    def add_trial_balance(self) -> Any:
        trial = self.request("GET", "/ledger/trial-balance")
        for row in trial["rows"]:
            self.lines.append(f"  {row['type']:9} debit {row['debit']:6}  credit {row['credit']:6}")
        [total] = trial["totals"]
        self.lines.append(
            f"  {'all':9} debit {total['debit']:6}  credit {total['credit']:6}"
            f"  difference {total['difference']}"
        )
        return total


@pytest.fixture
def marketplace(system: System) -> Marketplace:
    def run(*arguments: str) -> Any:
        result = system.atomic(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    merchant = run(
        "merchants", "create", "--name", "Marketplace", "--email", "books@marketplace.example"
    )
    key = run("keys", "create", "--merchant", merchant["id"], "--name", "books")["apiKey"]
    return Marketplace(Client(system.base_url, key), {merchant["accountId"]: "payments"})


def test_documented_marketplace_matches_the_real_system(
    system: System, marketplace: Marketplace
) -> None:
    [payments] = marketplace.names
    anna = marketplace.open_account("sellers:anna", "liability")
    ben = marketplace.open_account("sellers:ben", "liability")
    commission = marketplace.open_account("commission", "revenue")

    marketplace.pay(10_000, "order-1")
    marketplace.post("split-1", (payments, -10_000), (anna, 9_000), (commission, 1_000))
    second_order = marketplace.pay(4_000, "order-2")
    second_split = marketplace.post("split-2", (payments, -4_000), (ben, 3_600), (commission, 400))
    assert marketplace.add_balances() == {
        "payments": 0, "sellers:anna": 9_000, "sellers:ben": 3_600, "commission": 1_400,
    }  # fmt: skip

    marketplace.reverse(second_split)
    marketplace.refund(second_order)
    assert marketplace.add_balances() == {
        "payments": 0, "sellers:anna": 9_000, "sellers:ben": 0, "commission": 1_000,
    }  # fmt: skip
    assert marketplace.add_sellers()["balance"] == 9_000
    total = marketplace.add_trial_balance()
    # What the buyers paid less what was refunded is owed to sellers, or earned.
    assert (total["debit"], total["credit"], total["difference"]) == (0, 10_000, 10_000)

    whole = json.loads(system.atomic("trial-balance", "--json").stdout)
    assert whole["balanced"]
    assert system.atomic("verify").returncode == 0
    observed = "\n".join(marketplace.lines)
    assert "\n".join(_read_documented_lines()) == observed, observed


def _read_documented_lines() -> list[str]:
    example, end, _ = PAGE.read_text(encoding="utf-8").partition(MARK)[2].partition("```\n")
    assert end, f"the block after {MARK!r} is missing, or has no end"
    return re.sub(r"[ \t]+$", "", example, flags=re.MULTILINE).splitlines()
