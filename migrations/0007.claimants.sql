-- Claimants: a claim records its worker, so that payments of a dead worker need not wait for the end
-- of the lease.
-- depends: 0006.accepting

-- A number for each session of a worker. The session holds an advisory lock on it, which PostgreSQL
-- releases when the session ends, for whatever reason. No number is used twice, so that no worker is
-- mistaken for another: at one per second the numbers last for 68 years, and then begin again.
CREATE SEQUENCE claimants AS integer CYCLE;

-- In no index, like the other columns of a claim. NULL: only the lease limits the claim.
ALTER TABLE payments ADD COLUMN claimed_by integer;
