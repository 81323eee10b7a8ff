-- Nothing is lost: all of it follows from payments and refunds.
DROP TRIGGER refund_metadata_follows ON refunds;
DROP TRIGGER payment_metadata_follows ON payments;
DROP FUNCTION refund_metadata_follows();
DROP FUNCTION payment_metadata_follows();
DROP TABLE refund_metadata;
DROP TABLE payment_metadata;
DROP INDEX accounts_of_merchant_by_age;
DROP INDEX refunds_by_amount;
DROP INDEX refunds_of_merchant;
DROP INDEX payments_by_amount;
DROP INDEX payments_of_merchant;
