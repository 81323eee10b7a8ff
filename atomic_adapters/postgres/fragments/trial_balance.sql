-- An account that was opened later can have entries that take effect before.
sums AS MATERIALIZED (
    SELECT sums.id, sums.total
      FROM balances_before(ARRAY(SELECT id FROM owned),
                           array_fill(%(before)s::timestamptz,
                                      ARRAY[(SELECT count(*)::integer FROM owned)]),
                           %(is_effective)s) AS sums
)
SELECT owned.type, owned.currency, count(*),
       coalesce(sum(-sums.total) FILTER (WHERE sums.total < 0), 0),
       coalesce(sum(sums.total) FILTER (WHERE sums.total > 0), 0), owned.is_system
  FROM owned
  JOIN sums ON sums.id = owned.id
 WHERE owned.created_at < %(before)s
    OR sums.total <> 0
 GROUP BY owned.is_system, owned.type, owned.currency
 ORDER BY owned.currency, owned.is_system, owned.type
