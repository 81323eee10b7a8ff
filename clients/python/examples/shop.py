"""A shop of 200 orders on `make run`: `. .atomic/dev.env`, then `python shop.py`."""

import queue
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from atomic_payments import Atomic, verify_webhook
from atomic_payments.errors import RefundExceedsRemaining
from atomic_payments.models import Event

ORDERS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
atomic = Atomic()
received: queue.Queue[Event] = queue.Queue()
secrets: list[str] = []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.put(verify_webhook(body, dict(self.headers), secrets[0]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """One line per webhook would hide the shop's own output."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/webhooks"
issued = atomic.webhook_endpoints.create(url, event_types=["refund.succeeded"])
secrets.append(issued["secret"] or "")

started = time.monotonic()
statuses: Counter[str] = Counter()
for number in range(ORDERS):
    source = "tok_chargeDeclined" if number % 10 == 0 else "tok_visa"
    payment = atomic.payments.create_and_wait(amount=1_000 + number, currency="USD", source=source)
    statuses[payment["failureReason"] or payment["status"]] += 1
print(f"{ORDERS} orders in {time.monotonic() - started:.1f} s: {dict(statuses)}")

hold = atomic.payments.create_and_wait(
    amount=5_000, currency="USD", source="tok_visa", capture="manual"
)
captured = atomic.payments.capture(hold["id"], 3_000, timeout=30)
print(f"hold: {hold['status']}, then {captured['status']} with {captured['amountCaptured']}")
refund = atomic.refunds.create(captured["id"], 1_000, reason="damaged", timeout=30)
print(f"refund: {refund['status']} of {refund['amount']}")
try:
    atomic.refunds.create(captured["id"], 2_500)
except RefundExceedsRemaining as error:
    print(f"refused: {error.code}, remaining {error.details['remaining']}")
event = received.get(timeout=30)
this = "this" if event["refundId"] == refund["id"] else "another"
print(f"webhook: {event['type']} of {this} refund, verified")
atomic.webhook_endpoints.delete(issued["endpoint"]["id"])
