-- No data is lost: it all follows from payments and refunds.
DROP TRIGGER refunds_are_listed ON refunds;
DROP TRIGGER payments_are_listed ON payments;
DROP FUNCTION refunds_are_listed();
DROP FUNCTION payments_are_listed();
DROP TABLE refund_metadata;
DROP TABLE payment_metadata;
DROP TABLE payment_amounts;
DROP INDEX accounts_of_merchant_by_age;
DROP INDEX refunds_by_amount;
DROP INDEX refunds_of_merchant;
DROP INDEX payments_of_merchant;
ALTER TABLE payments
    RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
ALTER TABLE payments
    SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02,
         autovacuum_analyze_scale_factor = 0.02);
