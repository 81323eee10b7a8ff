"""The reference API: the best that Flask, gunicorn and PostgreSQL can do, with one view and one
prepared statement per request.

It runs with atomic_web/server/gunicorn_conf.py, like the real API, and gets the same requests,
whose headers it ignores. gunicorn's workers import it after the fork, so the pool may open at once.
"""

from typing import Final
from uuid import UUID

import psycopg
from flask import Flask, Response, abort, jsonify, request
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from atomic_adapters.embedded.roles import APP_ROLE
from atomic_adapters.settings import Settings

CREATE_EMPTY_TABLE: Final = """
CREATE SCHEMA reference;
-- The columns of payments, with the primary key and no other constraint, index or trigger.
CREATE TABLE reference.payments (LIKE payments INCLUDING DEFAULTS INCLUDING GENERATED);
ALTER TABLE reference.payments ALTER id SET DEFAULT uuidv7(), ADD PRIMARY KEY (id);
"""

CREATE_FULL_TABLE: Final = """
CREATE SCHEMA reference;
CREATE TABLE reference.payments AS TABLE payments;
ALTER TABLE reference.payments ADD PRIMARY KEY (id);
"""

GRANT: Final = f"""
GRANT USAGE ON SCHEMA reference TO {APP_ROLE};
GRANT SELECT, INSERT ON reference.payments TO {APP_ROLE};
""".encode()

INSERT: Final = """
INSERT INTO reference.payments (merchant_id, account_id, amount, currency, source, description,
                                idempotency_key)
VALUES (%(merchant_id)s, %(account_id)s, %(amount)s, %(currency)s, %(source)s, %(description)s,
        %(idempotency_key)s)
RETURNING id, status, created_at
"""

SELECT: Final = """
SELECT id, merchant_id, amount, currency, source, description, status, idempotency_key,
       webhook_url, failure_reason, created_at, updated_at
  FROM reference.payments
 WHERE id = %(id)s
"""

MERCHANT_ID: Final = UUID(int=1)


def create_app(settings: Settings) -> Flask:
    pool = ConnectionPool(
        settings.database_url,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        # The size of Atomic's pool.
        min_size=settings.database_pool,
        max_size=settings.database_pool,
    )
    app = Flask("reference")

    @app.post("/api/v1/payments")
    def create() -> tuple[Response, int]:
        body = request.get_json()
        row = {
            "merchant_id": MERCHANT_ID,
            "account_id": MERCHANT_ID,
            "amount": body["amount"],
            "currency": body["currency"],
            "source": body["source"],
            "description": body.get("description", "API Payment"),
            "idempotency_key": request.headers.get("Idempotency-Key"),
        }
        with pool.connection() as connection:
            inserted = connection.execute(INSERT, row).fetchone()
        return jsonify({**row, **(inserted or {})}), 202

    @app.get("/api/v1/payments/<uuid:id>")
    def show(id: UUID) -> Response:
        with pool.connection() as connection:
            row = connection.execute(SELECT, {"id": id}).fetchone()
        if row is None:
            abort(404)
        return jsonify(row)

    @app.get("/api/v1/health/live")
    def live() -> Response:
        return jsonify({"status": "live"})

    return app


def create_table(connection: psycopg.Connection) -> None:
    connection.execute(CREATE_EMPTY_TABLE)
    connection.execute(GRANT)


def copy_payments(connection: psycopg.Connection) -> None:
    """Give the reference API the rows that Atomic has."""
    connection.execute(CREATE_FULL_TABLE)
    connection.execute(GRANT)
    connection.execute("VACUUM ANALYZE reference.payments")


def __getattr__(name: str) -> Flask:
    """Create `bench.reference_app:app` on first access: the import itself does not connect."""
    if name != "app":
        raise AttributeError(name)
    return create_app(Settings.load())
