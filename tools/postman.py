"""Write docs/atomic.postman_collection.json: one request per operation, in an order that runs.

Each request stores the ids of its response in collection variables, which the next ones use, and
every POST has an Idempotency-Key of its own. `BASE_URL` and `API_KEY` are its other variables.
"""

import json
from pathlib import Path
from typing import Final, NamedTuple

COLLECTION: Final = Path(__file__).parents[1] / "docs" / "atomic.postman_collection.json"
SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"

PAYMENT: Final = {"amount": 5_000, "currency": "USD", "source": "tok_visa"}
CREDENTIALS: Final = {"email": "{{email}}", "password": "correct horse battery staple"}
NEW_PASSWORD: Final = "seven purple mountains sing"  # noqa: S105 - of an example


class Step(NamedTuple):
    operation: str
    """Such as `POST /payments`, with the query, and variables in double braces."""
    status: int
    body: object = None
    captures: dict[str, str] = {}  # noqa: RUF012 - no step changes it
    """The path of a value in the response by the name of its variable."""
    is_session: bool = False


def build_entries(source: str, target: str) -> list[dict[str, object]]:
    return [{"accountId": source, "amount": -100}, {"accountId": target, "amount": 100}]


TRANSFER: Final = {"entries": build_entries("{{accountId}}", "{{sellerId}}")}
EXCHANGE: Final = {
    "sourceAccountId": "{{accountId}}",
    "sourcePositionId": "{{dollarsId}}",
    "targetPositionId": "{{eurosId}}",
    "targetAccountId": "{{targetId}}",
    "sourceAmount": 100,
    "rate": "0.92155",
}
ENDPOINT: Final = "/webhook-endpoints/{{endpointId}}"

STEPS: Final[tuple[Step, ...]] = (
    Step("GET /", 200),
    Step("GET /health", 200),
    Step("GET /health/live", 200),
    Step("GET /health/ready", 200),
    Step("GET /openapi.json", 200),
    Step("GET /docs", 200),
    Step("GET /docs/errors/not_found", 200),
    Step("POST /payments?wait=20", 200, PAYMENT, {"paymentId": "data.id"}),
    Step("GET /payments/{{paymentId}}?wait=20", 200),
    Step("GET /payments?limit=10", 200),
    Step("GET /payments/{{paymentId}}/timeline", 200),
    Step("GET /idempotency-keys/{{lastKey}}", 200),
    Step("POST /payments/batch", 202, {"payments": [PAYMENT, PAYMENT]}),
    Step("POST /payments?wait=20", 200, {**PAYMENT, "capture": "manual"}, {"holdId": "data.id"}),
    Step("POST /payments/{{holdId}}/capture?wait=20", 200, {"amount": 3_000}),
    Step(
        "POST /payments?wait=20", 200, {**PAYMENT, "capture": "manual"}, {"releasedId": "data.id"}
    ),
    Step("POST /payments/{{releasedId}}/cancel?wait=20", 200, {}),
    Step(
        "POST /payments/{{holdId}}/refunds?wait=20", 200, {"amount": 1_000}, {"refundId": "data.id"}
    ),
    Step("GET /refunds/{{refundId}}", 200),
    Step("GET /payments/{{holdId}}/refunds", 200),
    Step("GET /refunds?limit=10", 200),
    Step("POST /accounts", 201, {"name": "Seller", "currency": "USD"}, {"sellerId": "data.id"}),
    Step(
        "GET /payments/{{paymentId}}?expand=entries",
        200,
        None,
        {"accountId": "data.payment.entries.0.accountId"},
    ),
    Step("GET /accounts/{{accountId}}", 200),
    Step("GET /accounts?limit=10", 200),
    Step("GET /accounts/balances?prefix=Seller", 200),
    Step("PATCH /accounts/{{sellerId}}", 200, {"metadata": {"tier": "gold"}}),
    Step("GET /accounts/{{accountId}}/entries", 200),
    Step("GET /accounts/{{accountId}}/balance?axis=effective", 200),
    Step("GET /accounts/{{accountId}}/balance-history", 200),
    Step("GET /accounts/{{accountId}}/explain", 200),
    Step("GET /ledger/trial-balance", 200),
    Step("POST /ledger/periods/close", 201, {"endDate": "2020-12-31"}, {"periodId": "data.id"}),
    Step("GET /ledger/periods", 200),
    Step("GET /ledger/periods/{{periodId}}", 200),
    Step("GET /ledger/periods/{{periodId}}/balances", 200),
    Step("POST /ledger/transactions", 201, TRANSFER, {"transactionId": "data.id"}),
    Step("GET /ledger/transactions/{{transactionId}}", 200),
    Step("GET /ledger/transactions?limit=10", 200),
    Step("POST /ledger/transactions/batch", 201, {"transactions": [TRANSFER, TRANSFER]}),
    Step("POST /ledger/transactions/{{transactionId}}/reverse", 201, {}),
    Step("POST /ledger/transactions", 201, {**TRANSFER, "pending": True}, {"pendingId": "data.id"}),
    Step("POST /ledger/transactions/{{pendingId}}/post", 200, {}),
    Step("POST /ledger/transactions", 201, {**TRANSFER, "pending": True}, {"voidedId": "data.id"}),
    Step("POST /ledger/transactions/{{voidedId}}/void", 200, {}),
    Step("POST /accounts", 201, {"name": "Dollars", "currency": "USD"}, {"dollarsId": "data.id"}),
    Step("POST /accounts", 201, {"name": "Euros", "currency": "EUR"}, {"eurosId": "data.id"}),
    Step(
        "POST /payments?wait=20", 200, {**PAYMENT, "currency": "EUR"}, {"euroPaymentId": "data.id"}
    ),
    Step("POST /accounts", 201, {"name": "Buyer", "currency": "EUR"}, {"targetId": "data.id"}),
    Step("POST /ledger/exchanges", 201, EXCHANGE),
    Step("GET /disputes?limit=10", 200),
    Step("GET /events?limit=10", 200, None, {"eventId": "data.items.0.id"}),
    Step("GET /events/{{eventId}}", 200),
    Step(
        "POST /webhook-endpoints",
        201,
        {"url": "https://shop.example/webhooks"},
        {"endpointId": "data.endpoint.id"},
    ),
    Step("GET /webhook-endpoints", 200),
    Step(f"GET {ENDPOINT}", 200),
    Step(f"PATCH {ENDPOINT}", 200, {"description": "Order system"}),
    Step(f"POST {ENDPOINT}/rotate-secret", 201, {}),
    Step(f"GET {ENDPOINT}/deliveries", 200),
    Step(f"DELETE {ENDPOINT}", 200),
    Step("POST /merchants/register", 201, {**CREDENTIALS, "name": "Corner Shop"}),
    Step("POST /merchants/login", 200, CREDENTIALS, {"sessionToken": "data.token"}),
    Step("GET /merchants/dashboard", 200, is_session=True),
    Step("GET /merchants/audit-log", 200, is_session=True),
    Step("POST /merchants/api-keys", 201, {"name": "till"}, {"keyId": "data.id"}, is_session=True),
    Step("GET /merchants/api-keys", 200, is_session=True),
    Step(
        "POST /merchants/api-keys/{{keyId}}/rotate",
        201,
        {"overlapSeconds": 60},
        {"newKeyId": "data.id"},
        is_session=True,
    ),
    Step("DELETE /merchants/api-keys/{{newKeyId}}", 200, is_session=True),
    Step("POST /merchants/login", 200, CREDENTIALS),
    Step("GET /merchants/sessions", 200, None, {"otherSessionId": "data.0.id"}, is_session=True),
    Step("DELETE /merchants/sessions/{{otherSessionId}}", 200, is_session=True),
    Step("DELETE /merchants/sessions", 200, is_session=True),
    Step(
        "POST /merchants/password",
        200,
        {"currentPassword": CREDENTIALS["password"], "newPassword": NEW_PASSWORD},
        is_session=True,
    ),
    Step("POST /merchants/logout", 200, {}, is_session=True),
)

LEFT_OUT: Final = {
    "GET /deliveries/{id}": "there is a delivery only where a receiver answers",
    "POST /deliveries/{id}/retry": "the same",
    "POST /webhook-endpoints/{id}/test": "it calls the receiver",
    "POST /webhook-endpoints/{id}/replay": "it calls the receiver",
    "POST /networks/stripe/events": "Stripe sends it",
    "GET /disputes/{id}": "a sweeper records a dispute, not at once",
    "POST /disputes/{id}/evidence": "the same",
    "POST /disputes/{id}/accept": "the same",
}


def build_collection() -> dict[str, object]:
    return {
        "info": {"name": "Atomic", "schema": SCHEMA},
        "auth": _build_bearer("{{API_KEY}}"),
        "variable": [
            {"key": "BASE_URL", "value": "http://127.0.0.1:3000"},
            {"key": "API_KEY", "value": ""},
        ],
        "event": [
            _build_event(
                "prerequest",
                [
                    "pm.variables.set('key', pm.variables.replaceIn('{{$guid}}'));",
                    "if (!pm.collectionVariables.get('email')) {",
                    "  pm.collectionVariables.set('email', `owner-${Date.now()}@shop.example`);",
                    "}",
                ],
            )
        ],
        "item": [_build_item(number, step) for number, step in enumerate(STEPS, 1)],
    }


def _build_item(number: int, step: Step) -> dict[str, object]:
    method, path = step.operation.split(" ", 1)
    headers = []
    if method in ("POST", "PATCH"):
        headers = [
            {"key": "Idempotency-Key", "value": "{{key}}"},
            {"key": "Content-Type", "value": "application/json"},
        ]
    request: dict[str, object] = {
        "method": method,
        "header": headers,
        "url": "{{BASE_URL}}/api/v1" + ("" if path == "/" else path),
    }
    if step.is_session:
        request["auth"] = _build_bearer("{{sessionToken}}")
    if step.body is not None:
        request["body"] = {"mode": "raw", "raw": json.dumps(step.body, indent=2)}
    script = [f"pm.test('{step.status}', () => pm.response.to.have.status({step.status}));"]
    script += [
        f"pm.collectionVariables.set('{name}', _.get(pm.response.json(), '{path}'));"
        for name, path in step.captures.items()
    ]
    if headers:
        script.append("pm.collectionVariables.set('lastKey', pm.variables.get('key'));")
    return {
        "name": f"{number:02} {step.operation}",
        "request": request,
        "event": [_build_event("test", script)],
    }


def _build_bearer(token: str) -> dict[str, object]:
    return {"type": "bearer", "bearer": [{"key": "token", "value": token, "type": "string"}]}


def _build_event(listen: str, script: list[str]) -> dict[str, object]:
    return {"listen": listen, "script": {"type": "text/javascript", "exec": script}}


if __name__ == "__main__":
    COLLECTION.write_text(json.dumps(build_collection(), indent=2) + "\n", encoding="utf-8")
