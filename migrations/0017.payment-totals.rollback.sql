-- Nothing is lost: totals follow from payments. As in the migration, each statement commits by itself and
-- can be repeated.
SET lock_timeout = '5s';

DROP TRIGGER IF EXISTS payments_are_totaled ON payments;
DROP TABLE IF EXISTS payment_totals;
DROP FUNCTION IF EXISTS correct_payment_totals();
DROP FUNCTION IF EXISTS payments_are_totaled();
