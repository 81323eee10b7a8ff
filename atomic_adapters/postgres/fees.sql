-- name: upsert_fee_schedule
INSERT INTO fee_schedules (merchant_id, currency, basis_points, fixed)
VALUES (%(merchant_id)s, %(currency)s, %(basis_points)s, %(fixed)s)
    ON CONFLICT (merchant_id, currency) DO UPDATE
   SET basis_points = excluded.basis_points, fixed = excluded.fixed, updated_at = now()
RETURNING merchant_id, currency, basis_points, fixed, updated_at

-- name: list_fee_schedules
SELECT merchant_id, currency, basis_points, fixed, updated_at
  FROM fee_schedules
 WHERE merchant_id = %(merchant_id)s
 ORDER BY currency
