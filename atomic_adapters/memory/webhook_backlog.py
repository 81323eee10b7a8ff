"""What of webhooks has not been sent, in memory."""

from atomic_adapters.memory.tables import Tables
from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.domain.webhooks import DeliveryStatus, DisabledReason, EndpointStatus


def measure_backlog(tables: Tables, max_counted: int) -> WebhookBacklog:
    now, counters = tables.clock.now(), tables.event_counters.rows
    rows = [row for row in tables.webhook_endpoints.rows.values() if row.deleted_at is None]
    enabled = [row for row in rows if row.endpoint.status is EndpointStatus.ENABLED]
    positions = {(row.endpoint.merchant_id, row.endpoint.position) for row in enabled}
    times = [
        row.at
        for row in tables.events.rows.values()
        if row.in_stream and (row.event.merchant_id, row.in_stream.sequence - 1) in positions
    ]
    lags = [counters.get(merchant_id, 0) - position for merchant_id, position in positions]
    statuses = [row.delivery.status for row in tables.webhook_deliveries.rows.values()]
    reasons = [row.endpoint.disabled_reason for row in rows]
    pauses = [row.health.paused_until for row in enabled]
    return WebhookBacklog(
        max(lags, default=0),
        (now - min(times)).total_seconds() if times else 0.0,
        min(statuses.count(DeliveryStatus.PENDING), max_counted),
        min(statuses.count(DeliveryStatus.FAILED), max_counted),
        sum(1 for until in pauses if until is not None and until > now),
        {reason: reasons.count(reason) for reason in DisabledReason},
    )
