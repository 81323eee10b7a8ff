SET lock_timeout = '5s';

-- The indexes and constraints go with the columns. Which doubts were reported is lost: after the migration is
-- applied again, those that are still open are reported once more.
ALTER TABLE payments DROP COLUMN IF EXISTS doubt_reported_at;
ALTER TABLE refunds DROP COLUMN IF EXISTS doubt_reported_at;
