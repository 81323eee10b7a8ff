ALTER TABLE payments DROP COLUMN claimed_by;
DROP SEQUENCE claimants;
