-- name: list_accounts
-- By age. A range of balances has no index: each posting would have to update it.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   -- include: account_filters

-- name: list_accounts_of_currency
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND currency = %(currency)s::text
   -- include: account_filters

-- name: list_accounts_of_type
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND type = %(type)s::text
   -- include: account_filters

-- name: list_accounts_by_external_id
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND external_id = %(external_id)s
   -- include: account_filters

-- name: count_accounts_of_subtree
-- Stops at `max_rows`.
SELECT count(*)
  FROM (SELECT
          FROM accounts
         WHERE merchant_id = %(merchant_id)s
           AND name COLLATE "C" = %(name)s
        UNION ALL
        SELECT
          FROM accounts
         WHERE merchant_id = %(merchant_id)s
           AND name COLLATE "C" >= %(first)s
           AND name COLLATE "C" < %(end)s
         LIMIT %(max_rows)s) AS counted_rows

-- name: list_accounts_of_subtree
-- Sorts the accounts of a small subtree.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE id = ANY (ARRAY(
           SELECT named.id
             FROM accounts AS named
            WHERE named.merchant_id = %(merchant_id)s
              AND named.name COLLATE "C" = %(name)s::text
           UNION ALL
           SELECT below.id
             FROM accounts AS below
            WHERE below.merchant_id = %(merchant_id)s
              AND below.name COLLATE "C" >= %(first)s::text
              AND below.name COLLATE "C" < %(end)s::text))
   -- include: account_filters

-- name: find_rarest_account_pair
-- As find_rarest_payment_pair.
SELECT pair.key, pair.value
  FROM unnest(%(keys)b::text[], %(values)b::text[]) AS pair (key, value)
 CROSS JOIN LATERAL (
           SELECT count(*) AS count
             FROM (SELECT
                     FROM account_metadata
                    WHERE account_metadata.merchant_id = %(merchant_id)s
                      AND account_metadata.key = pair.key
                      AND account_metadata.value = pair.value
                    LIMIT %(max_rows)s) AS counted_rows) AS counted
 ORDER BY counted.count
 LIMIT 1

-- name: list_accounts_by_metadata
-- Walks the index of one pair by age; the other filters are checked on each account. OFFSET keeps the
-- planner from joining otherwise: it estimates that so many filters leave next to nothing.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE id = ANY (ARRAY(
           SELECT account_metadata.account_id
             FROM account_metadata
            CROSS JOIN LATERAL (
                      SELECT
                        FROM accounts AS account
                       WHERE account.id = account_metadata.account_id
                         AND account.metadata @> %(metadata)s::text::jsonb
                         AND account.currency = coalesce(%(currency)s::text, account.currency)
                         AND account.type = coalesce(%(type)s::text, account.type)
                         AND account.balance BETWEEN %(balance_min)s AND %(balance_max)s
                         AND (%(name)s::text IS NULL
                              OR account.name COLLATE "C" = %(name)s::text
                              OR account.name COLLATE "C" >= %(first)s::text
                                 AND account.name COLLATE "C" < %(end)s::text)
                      OFFSET 0) AS matching
            WHERE account_metadata.merchant_id = %(merchant_id)s
              AND account_metadata.key = %(key)s
              AND account_metadata.value = %(value)s
              AND (account_metadata.created_at, account_metadata.account_id)
                  < (%(top_at)s, %(top_id)s)
              AND account_metadata.created_at >= %(created_from)s
            ORDER BY account_metadata.created_at DESC, account_metadata.account_id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC
