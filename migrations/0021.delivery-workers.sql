-- Delivery workers: the claim of an endpoint names its worker, so that the endpoints of a killed process
-- do not wait for the end of their lease.
-- depends: 0020.retention

-- Runs while payments flow and webhooks are sent. Locks webhook_endpoints exclusively for a moment; it has
-- few rows, which the index reads.
--
-- The previous version does not write claimed_by. While both run, it can claim an endpoint on which a worker
-- that is dead meanwhile is still named. That endpoint may be claimed once more, and its events are then
-- sent twice, with the same ids.
SET LOCAL lock_timeout = '5s';

-- A worker id from the sequence claimants, as payments have it. NULL: the lease alone limits the claim.
ALTER TABLE webhook_endpoints ADD COLUMN claimed_by integer;

-- The endpoints that are claimed at present, few at a time.
CREATE INDEX webhook_endpoints_claimed ON webhook_endpoints (claimed_by) WHERE claimed_by IS NOT NULL;
