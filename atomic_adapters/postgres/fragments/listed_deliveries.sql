  FROM webhook_deliveries
 WHERE endpoint_id = %(endpoint_id)s
   AND (created_at, id) < (%(before_at)s, %(before_id)s)
   AND created_at >= %(created_from)s
