-- The first event of a stream that is kept whatever its age: the last one, the first one that an enabled
-- endpoint has not passed, and the first one of which an endpoint has a delivery.
SELECT least(event_counters.last_sequence, min(endpoint.next_sequence),
             min(endpoint.first_delivery)) AS sequence
  FROM (SELECT CASE WHEN webhook_endpoints.status = 'enabled'
                     AND webhook_endpoints.deleted_at IS NULL
                    THEN webhook_endpoints.position + 1
               END AS next_sequence,
               (SELECT webhook_deliveries.sequence
                  FROM webhook_deliveries
                 WHERE webhook_deliveries.endpoint_id = webhook_endpoints.id
                 ORDER BY webhook_deliveries.sequence
                 LIMIT 1) AS first_delivery
          FROM webhook_endpoints
         WHERE webhook_endpoints.merchant_id = event_counters.merchant_id) AS endpoint
