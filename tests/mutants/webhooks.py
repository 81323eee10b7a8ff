"""Mutants of webhook endpoints and deliveries."""

from typing import Final

from mutants.mutant import Edit, Mutant

DELIVERIES: Final = "tests/contract/test_webhook_deliveries.py"
ENDPOINTS: Final = "tests/contract/test_webhook_endpoints.py"
REPLAYS: Final = "tests/contract/test_webhook_replays.py"
DECISIONS: Final = "tests/unit/test_webhook_decisions.py"
DOMAIN: Final = "atomic_core/domain/webhooks.py"
ROUNDS: Final = "atomic_core/domain/webhook_rounds.py"
DELIVER: Final = "atomic_core/use_cases/deliver_webhooks.py"
ROUND_SENDING: Final = "atomic_core/use_cases/round_sending.py"
WINDOWS: Final = "atomic_core/use_cases/stream_windows.py"
SENDING: Final = "tests/unit/test_round_sending.py"
DELIVERIES_SQL: Final = "atomic_adapters/postgres/webhook_deliveries.sql"
ENDPOINTS_SQL: Final = "atomic_adapters/postgres/webhook_endpoints.sql"

WEBHOOK_MUTANTS: Final = (
    Mutant(
        "stream-not-marked-due",
        "an event makes its merchant's stream due",
        (
            Edit(
                "atomic_adapters/postgres/unit_of_work.py",
                "            self.webhook_endpoints.mark_streams_due(grown)\n",
                "            pass\n",
            ),
        ),
        (DELIVERIES,),
    ),
    Mutant(
        "early-retry-is-the-last",
        "an ordered endpoint goes on waiting for a webhook that is retried early",
        (
            Edit(
                DELIVERIES_SQL,
                "CASE WHEN %(is_ordered)s AND status = 'pending' THEN retries\n",
                "CASE WHEN %(is_ordered)s AND false THEN retries\n",
            ),
        ),
        (DELIVERIES,),
    ),
    Mutant(
        "ordered-goes-on-after-a-failure",
        "an ordered endpoint waits at a failure",
        (
            Edit(
                ROUNDS,
                "is_ordered and is_blocking:\n",
                "is_ordered and False:\n",
            ),
        ),
        (DELIVERIES,),
    ),
    Mutant(
        "ordered-position-passes-a-failure",
        "the position of an ordered endpoint stays before what failed",
        (
            Edit(
                ROUNDS,
                "return blocking[0] - 1\n",
                "return blocking[0]\n",
            ),
        ),
        (DELIVERIES,),
    ),
    Mutant(
        "ordered-due-while-it-waits",
        "what comes after a failure is not due before it",
        (
            Edit(
                "migrations/0019.webhooks.sql",
                "             WHEN is_ordered AND retry_at IS NOT NULL THEN\n",
                "             WHEN false THEN\n",
            ),
        ),
        (DELIVERIES,),
    ),
    Mutant(
        "replay-undone-by-a-round",
        "a replay during a round is not undone by its record",
        (
            Edit(
                DELIVERIES_SQL,
                "position = CASE WHEN replays = %(replays)s THEN %(position)s ELSE position END,",
                "position = CASE WHEN replays >= %(replays)s THEN %(position)s ELSE position END,",
            ),
        ),
        (REPLAYS,),
    ),
    Mutant(
        "window-of-another-merchant",
        "endpoints share the events of their own merchant only",
        (Edit(WINDOWS, "(merchant_id, filters, limit),", "(filters, limit),"),),
        (SENDING,),
    ),
    Mutant(
        "failed-read-is-kept",
        "a read that failed is repeated",
        (Edit(WINDOWS, "                self._values.pop(key, None)\n", "                pass\n"),),
        (SENDING,),
    ),
    Mutant(
        "ordered-endpoint-gets-several-at-once",
        "an ordered or paused endpoint gets one delivery at a time",
        (
            Edit(
                ROUND_SENDING,
                "min(limit, self.round.max_concurrent, self.round.remaining)",
                "min(limit, self.round.remaining)",
            ),
        ),
        (SENDING,),
    ),
    Mutant(
        "slow-round-keeps-its-threads",
        "a round leaves threads to others",
        (Edit(ROUND_SENDING, "time.monotonic() >= turn_end", "time.monotonic() >= turn_end + 60"),),
        (SENDING,),
    ),
    Mutant(
        "error-of-the-sender-swallowed",
        "an unexpected error of the sender is raised",
        (Edit(ROUND_SENDING, "        if self._errors:\n", "        if not self.threads:\n"),),
        (SENDING,),
    ),
    Mutant(
        "lag-of-planned-endpoints-only",
        "the lag is measured before anything makes an endpoint due",
        (Edit(DELIVERIES_SQL, "     WHERE webhook_streams.is_due\n", "     WHERE false\n"),),
        ("tests/contract/test_webhook_backlog.py",),
    ),
    Mutant(
        "disabled-endpoint-lags",
        "a disabled endpoint does not count as behind",
        (
            Edit(
                DELIVERIES_SQL,
                "       AND webhook_endpoints.status = 'enabled'\n"
                "       AND webhook_endpoints.deleted_at IS NULL\n), slowest",
                "       AND webhook_endpoints.deleted_at IS NULL\n), slowest",
            ),
        ),
        ("tests/contract/test_webhook_backlog.py",),
    ),
    Mutant(
        "dead-letter-counted-as-retried",
        "each outcome has its own count in the metrics",
        (
            Edit(
                "atomic_worker/webhooks/metrics.py",
                'DeliveryStatus.FAILED: "dead"',
                'DeliveryStatus.FAILED: "retried"',
            ),
        ),
        ("tests/unit/test_webhook_metrics.py",),
    ),
    Mutant(
        "sweeper-deliveries-uncounted",
        "what the sweeper delivers is in its metrics",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "                self.on_round,\n",
                "",
            ),
        ),
        ("tests/e2e/test_webhooks.py", "tests/unit/test_sweeper.py"),
    ),
    Mutant(
        "purged-events-uncounted",
        "the counter of events never decreases",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                "SELECT coalesce(sum(last_sequence), 0)::bigint\n  FROM event_counters\n",
                "SELECT count(sequence) FROM events\n",
            ),
        ),
        ("tests/contract/test_event_retention.py",),
    ),
    Mutant(
        "failure-retried-at-the-former-url",
        "what failed is retried at the present URL of its endpoint",
        (Edit(DELIVER, "due._replace(url=endpoint.url or due.url)", "due"),),
        (DELIVERIES,),
    ),
    Mutant(
        "window-skipped",
        "a round that is full goes on where it ended",
        (
            Edit(
                DELIVER,
                "    end_position = events[-1].sequence if len(events) == limit else window_end\n",
                "    end_position = window_end\n",
            ),
        ),
        (DELIVERIES,),
    ),
    Mutant(
        "dead-letter-retried-for-ever",
        "the last failure is a dead letter",
        (Edit(DOMAIN, " or due.retries >= len(RETRY_DELAYS):", ":"),),
        (DECISIONS,),
    ),
    Mutant(
        "retry-without-jitter",
        "what failed together is not retried together",
        (Edit(DOMAIN, " * (1 + jitter * MAX_JITTER)", ""),),
        (DECISIONS,),
    ),
    Mutant(
        "retry-after-unbounded",
        "a receiver cannot postpone for ever",
        (
            Edit(
                DOMAIN,
                "min(timedelta(seconds=result.retry_after), MAX_RETRY_AFTER)",
                "timedelta(seconds=min(result.retry_after, 10**9))",
            ),
        ),
        (DECISIONS,),
    ),
    Mutant(
        "breaker-never-opens",
        "an endpoint that keeps failing is paused",
        (Edit(DOMAIN, "    if failures >= BREAKER_FAILURES:\n", "    if False:\n"),),
        (DECISIONS, DELIVERIES),
    ),
    Mutant(
        "breaker-of-other-receivers",
        "one payment's URL says nothing about another's",
        (
            Edit(
                ROUNDS,
                "return self.claim.endpoint.url is not None\n",
                "return True\n",
            ),
        ),
        (DELIVERIES,),
    ),
    Mutant(
        "gone-endpoint-goes-on",
        "an endpoint that answers 410 is disabled",
        (
            Edit(
                DOMAIN,
                "    if any(result.status_code == GONE ",
                "    if any(False ",
            ),
        ),
        (DECISIONS, ENDPOINTS),
    ),
    Mutant(
        "former-secret-does-not-sign",
        "a secret that was replaced signs during the overlap",
        (
            Edit(
                ENDPOINTS_SQL,
                "former_secret_until = now() + %(overlap)s::interval",
                "former_secret_until = now() - %(overlap)s::interval",
            ),
        ),
        (ENDPOINTS,),
    ),
    Mutant(
        "deliveries-of-other-merchants",
        "a delivery is visible to its merchant only",
        (
            Edit(
                DELIVERIES_SQL,
                " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n   AND EXISTS",
                " WHERE id = %(id)s\n   AND %(merchant_id)s::uuid IS NOT NULL\n   AND EXISTS",
            ),
        ),
        (ENDPOINTS,),
    ),
    Mutant(
        "webhook-body-is-not-the-event",
        "a webhook has the body that GET /events returns",
        (
            Edit(
                "atomic_core/domain/event_documents.py",
                '        "requestId": event.request_id,\n',
                '        "requestId": None,\n',
            ),
        ),
        ("tests/web/test_webhooks.py",),
    ),
    Mutant(
        "signing-secret-replayed",
        "a replay does not repeat the signing secret",
        (
            Edit(
                "atomic_web/views/webhook_endpoints.py",
                "rotate, reference, _render_issued, {}, redact(SECRET))",
                "rotate, reference, _render_issued, {})",
            ),
        ),
        ("tests/web/test_webhooks.py",),
    ),
    Mutant(
        "sweeper-delivers-nothing",
        "webhooks are delivered without a wake-up",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "        self._start_delivery()\n",
                "",
            ),
        ),
        ("tests/e2e/test_webhooks.py",),
    ),
    Mutant(
        "replay-without-actor",
        "a replay of webhooks is audited with its actor",
        (
            Edit(
                "atomic_core/use_cases/webhook_deliveries.py",
                "endpoint, request.origin, fromSequence",
                "endpoint, OPERATOR, fromSequence",
            ),
        ),
        ("tests/web/test_webhooks.py",),
    ),
    Mutant(
        "retry-of-delivery-not-audited",
        "a retry of a delivery is audited",
        (
            Edit(
                "atomic_core/use_cases/webhook_deliveries.py",
                "        audit_endpoint(work, self.ids, event_type, endpoint, origin, deliveryId",
                "        dict(deliveryId",
            ),
        ),
        ("tests/web/test_webhooks.py",),
    ),
    Mutant(
        "tests-of-endpoints-unlimited",
        "tests of one merchant's endpoints do not take all connections",
        (
            Edit(
                "atomic_core/use_cases/webhook_endpoints.py",
                "            if self._running[merchant_id] >= MAX_PINGS:\n",
                "            if self._running[merchant_id] >= 100 * MAX_PINGS:\n",
            ),
        ),
        ("tests/web/test_webhooks.py",),
    ),
    Mutant(
        "look-up-of-deliveries-by-payments-read",
        "the look-up of a key of webhook routes requires webhooks:read",
        (
            Edit(
                "atomic_web/views/idempotency_keys.py",
                '    "deliveries": Scope.WEBHOOKS_READ,\n',
                '    "deliveries": Scope.PAYMENTS_READ,\n',
            ),
        ),
        ("tests/web/test_scopes.py",),
    ),
    Mutant(
        "failing-sender-stops-deliveries",
        "an exception of the sender is a failed attempt and stops no other delivery",
        (
            Edit(
                DELIVER,
                "        except Exception as error:  # noqa: BLE001 - must not keep",
                "        except KeyError as error:  # noqa: BLE001 - must not keep",
            ),
        ),
        (DELIVERIES,),
    ),
)
