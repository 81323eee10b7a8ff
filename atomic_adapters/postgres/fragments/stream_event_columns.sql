page.id, page.sequence, page.occurred_at, page.merchant_id, page.type, page.payment_id, page.status,
page.refund_id, page.attempt, page.amount, page.reason, page.data,
coalesce(refunds.amount, payments.amount), payments.currency,
coalesce(CASE WHEN refunds.id IS NULL THEN payments.metadata ELSE refunds.metadata END, '{}'),
CASE WHEN refunds.id IS NULL THEN payments.cancellation_reason ELSE refunds.reason END,
coalesce(payments.fee_amount, 0),
page.actor, page.actor_id, host(page.client_address), page.request_id, page.server_request_id,
page.operator
