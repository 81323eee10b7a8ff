AND (created_at, id) < (%(top_at)s, %(top_id)s)
AND created_at >= %(created_from)s
-- CASE hides how few rows the planner would expect: it then walks an index by age, which fills a page early,
-- instead of reading and sorting all accounts of the merchant.
AND CASE WHEN currency = coalesce(%(currency)s::text, currency)
              AND type = coalesce(%(type)s::text, type)
              AND balance BETWEEN %(balance_min)s AND %(balance_max)s
              AND (%(metadata)s::text IS NULL OR metadata @> %(metadata)s::text::jsonb)
              AND (%(name)s::text IS NULL
                   OR name COLLATE "C" = %(name)s::text
                   OR name COLLATE "C" >= %(first)s::text AND name COLLATE "C" < %(end)s::text)
         THEN true
         ELSE false
    END
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s
