-- Nothing is lost: claims last until their leases end, as before.
SET LOCAL lock_timeout = '5s';

DROP INDEX webhook_endpoints_claimed;
ALTER TABLE webhook_endpoints DROP COLUMN claimed_by;
