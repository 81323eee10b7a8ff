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
RUN = int(time.time())
atomic = Atomic()
received: queue.Queue[Event] = queue.Queue()
endpoint_secret: queue.Queue[str] = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        secret = endpoint_secret.queue[0]
        received.put(verify_webhook(body, dict(self.headers), secret))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """One line per webhook would hide the shop's own output."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
issued = atomic.webhook_endpoints.create(
    f"http://127.0.0.1:{server.server_port}/webhooks", event_types=["refund.succeeded"]
)
endpoint_secret.put(issued["secret"] or "")

started = time.monotonic()
statuses: Counter[str] = Counter()
for number in range(ORDERS):
    payment = atomic.payments.create_and_wait(
        amount=1_000 + number,
        currency="USD",
        source="tok_chargeDeclined" if number % 10 == 0 else "tok_visa",
        metadata={"order": str(number)},
        idempotency_key=f"shop-{RUN}-{number}",
    )
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
print(
    f"webhook: {event['type']} of {event['refundId'] == refund['id'] and 'this refund'}, verified"
)
atomic.webhook_endpoints.delete(issued["endpoint"]["id"])
