"""The documented life of a payment is what the system really answers: this test performs it
against a real system and compares every line with the documentation."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Client, System, wait_until

ROOT = Path(__file__).parents[2]
MARK = "<!-- written by tests/e2e/test_documented_example.py -->\n```text\n"


@dataclass
class Transcript:
    """Sends requests to a real system and writes down each request and what it led to."""

    client: Client
    account_id: str
    payment_id: str = ""
    lines: list[str] = field(default_factory=list)

    def post(self, path: str, body: dict[str, object], final_status: str) -> dict[str, Any]:
        """Send a POST, record the response and its final status; return the final resource."""
        members = ", ".join(f'"{name}": {_to_json(value)}' for name, value in body.items())
        self.lines.append(f"POST {path} {{{members}}}")
        reply = self.client.request("POST", path.replace("{id}", self.payment_id), body)
        assert reply.status == 202, reply.raw
        created = reply.data
        self.payment_id = self.payment_id or created["id"]
        is_payment = "source" in created
        url = f"/payments/{self.payment_id}" if is_payment else f"/refunds/{created['id']}"

        def get_resource() -> dict[str, Any]:
            data = self.client.request("GET", url).data
            return data.get("payment", data)

        wait_until(lambda: get_resource()["status"] == final_status, 60, f"{path}: {final_status}")
        self.lines.append(f"  202 {created['status']}, soon {final_status}")
        return get_resource()

    def add_account(self) -> None:
        account = self.client.request("GET", f"/accounts/{self.account_id}").data
        pending = account["pending"]
        self.lines.append(
            f"  balance {account['balance']}, pending in {pending['in']}, out {pending['out']},"
            f" available {account['available']}"
        )

    def add_entries(self) -> None:
        self.lines.append("GET /accounts/{account}/entries")
        reply = self.client.request("GET", f"/accounts/{self.account_id}/entries")
        for entry in reply.data["items"]:
            kind, amount = entry["kind"], entry["amount"]
            self.lines.append(
                f"  {entry['sequence']}  {kind:8} {amount:+6}  balance {entry['balanceAfter']}"
            )

    def add_timeline(self) -> None:
        self.lines.append("GET /payments/{id}/timeline")
        reply = self.client.request("GET", f"/payments/{self.payment_id}/timeline")
        for event in reply.data["events"]:
            amount = event["amount"] or ""
            transaction = event["transaction"]
            amounts = [entry["amount"] for entry in transaction["entries"]] if transaction else []
            entries = " ".join(f"{amount:+}" for amount in amounts)
            line = f"  {event['event']:18} {event['status']:11} {amount:>6}  {entries}"
            self.lines.append(line.rstrip())


def test_documented_payment_life_matches_the_real_system(
    system: System, client: Client, account: dict[str, str]
) -> None:
    transcript = Transcript(client, account["accountId"])
    request = {"amount": 10_000, "currency": "USD", "source": "tok_visa", "capture": "manual"}
    authorized = transcript.post("/payments", request, "AUTHORIZED")
    assert (authorized["amountCaptured"], authorized["amountRefunded"]) == (0, 0)
    transcript.add_account()
    captured = transcript.post("/payments/{id}/capture", {"amount": 6_000}, "SUCCESS")
    assert (captured["amountCaptured"], captured["amountRefunded"]) == (6_000, 0)
    transcript.add_account()
    for amount in (2_500, 1_000):
        refund = transcript.post("/payments/{id}/refunds", {"amount": amount}, "SUCCESS")
        assert (refund["amount"], refund["paymentId"]) == (amount, transcript.payment_id)
    transcript.add_account()
    payment = client.payment(transcript.payment_id)
    assert (payment["amountCaptured"], payment["amountRefunded"]) == (6_000, 3_500)
    transcript.add_entries()
    transcript.add_timeline()
    verified = system.atomic("verify")
    transcript.lines += ["$ atomic verify", f"  {verified.stdout.strip()}"]
    assert verified.returncode == 0
    observed = "\n".join(transcript.lines)
    assert "\n".join(_documented_lines()) == observed, observed


def _to_json(value: object) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


def _documented_lines() -> list[str]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    [text] = [text for text in texts if MARK in text]
    example, end, _ = text.partition(MARK)[2].partition("```\n")
    assert end, f"the block after {MARK!r} has no end"
    return re.sub(r"[ \t]+$", "", example, flags=re.MULTILINE).splitlines()
