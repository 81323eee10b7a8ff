"""The life of a payment as the README tells it: this writes it down line by line, and the README
must have the same lines."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Client, System, eventually

README = Path(__file__).parents[2] / "README.md"
MARK = "<!-- written by tests/e2e/test_documented_example.py -->\n```text\n"


@dataclass
class Story:
    """Does what is told, with a real system, and tells what came of it."""

    client: Client
    account: str
    payment: str = ""
    lines: list[str] = field(default_factory=list)

    def post(self, path: str, body: dict[str, object], until: str) -> dict[str, Any]:
        """Ask for something; tell the answer, and what it came to."""
        told = ", ".join(f'"{name}": {_json(value)}' for name, value in body.items())
        self.lines.append(f"POST {path} {{{told}}}")
        reply = self.client.ask("POST", path.replace("{id}", self.payment), body)
        assert reply.status == 202, reply.raw
        first = reply.data
        self.payment = self.payment or first["id"]
        where = f"/payments/{self.payment}" if "source" in first else f"/refunds/{first['id']}"

        def now() -> dict[str, Any]:
            data = self.client.ask("GET", where).data
            return data.get("payment", data)

        eventually(lambda: now()["status"] == until, 5, f"{path} ends {until}")
        self.lines.append(f"  202 {first['status']}, soon {until}")
        return now()

    def tell_account(self) -> None:
        account = self.client.ask("GET", f"/accounts/{self.account}").data
        pending = account["pending"]
        self.lines.append(
            f"  balance {account['balance']}, pending in {pending['in']}, out {pending['out']},"
            f" available {account['available']}"
        )

    def tell_entries(self) -> None:
        self.lines.append("GET /accounts/{account}/entries")
        reply = self.client.ask("GET", f"/accounts/{self.account}/entries")
        for entry in reply.data["items"]:
            kind, amount = entry["kind"], entry["amount"]
            told = f"  {entry['sequence']}  {kind:8} {amount:+6}  balance {entry['balanceAfter']}"
            self.lines.append(told)

    def tell_timeline(self) -> None:
        self.lines.append("GET /payments/{id}/timeline")
        reply = self.client.ask("GET", f"/payments/{self.payment}/timeline")
        for event in reply.data["events"]:
            amount = event["amount"] or ""
            posted = event["transaction"]
            entries = [entry["amount"] for entry in posted["entries"]] if posted else []
            books = " ".join(f"{each:+}" for each in entries)
            told = f"  {event['event']:18} {event['status']:11} {amount:>6}  {books}"
            self.lines.append(told.rstrip())


def test_the_story_is_told_in_the_readme_as_it_happens(
    system: System, client: Client, account: dict[str, str]
) -> None:
    story = Story(client, account["accountId"])
    order = {"amount": 10_000, "currency": "USD", "source": "tok_visa", "capture": "manual"}
    held = story.post("/payments", order, "AUTHORIZED")
    assert (held["amountCaptured"], held["amountRefunded"]) == (0, 0)
    story.tell_account()
    taken = story.post("/payments/{id}/capture", {"amount": 6_000}, "SUCCESS")
    assert (taken["amountCaptured"], taken["amountRefunded"]) == (6_000, 0)
    story.tell_account()
    for amount in (2_500, 1_000):
        refund = story.post("/payments/{id}/refunds", {"amount": amount}, "SUCCESS")
        assert (refund["amount"], refund["paymentId"]) == (amount, story.payment)
    story.tell_account()
    payment = client.payment(story.payment)
    assert (payment["amountCaptured"], payment["amountRefunded"]) == (6_000, 3_500)
    story.tell_entries()
    story.tell_timeline()
    verified = system.atomic("verify")
    story.lines += ["$ atomic verify", f"  {verified.stdout.strip()}"]
    assert verified.returncode == 0
    told = "\n".join(story.lines)
    assert "\n".join(_in_readme()) == told, told


def _json(value: object) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


def _in_readme() -> list[str]:
    _, _, after = README.read_text(encoding="utf-8").partition(MARK)
    told, end, _ = after.partition("```\n")
    assert end, f"the README has no story behind {MARK!r}"
    return re.sub(r"[ \t]+$", "", told, flags=re.MULTILINE).splitlines()
