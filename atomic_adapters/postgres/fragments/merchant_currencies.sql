-- The currencies of the merchant's accounts, by one index probe each (a "loose index scan"),
-- however many accounts there are.
merchant_currencies (currency) AS (
    (SELECT accounts.currency
       FROM accounts
      WHERE accounts.merchant_id = %(merchant_id)s
      ORDER BY accounts.currency
      LIMIT 1)
    UNION ALL
    SELECT (SELECT accounts.currency
              FROM accounts
             WHERE accounts.merchant_id = %(merchant_id)s
               AND accounts.currency > merchant_currencies.currency
             ORDER BY accounts.currency
             LIMIT 1)
      FROM merchant_currencies
     WHERE merchant_currencies.currency IS NOT NULL
)
