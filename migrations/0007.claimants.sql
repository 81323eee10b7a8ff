-- Claimants: a claim says whose it is, so that a dead settler's payments need not wait for the
-- lease to end.
-- depends: 0006.accepting

-- A number for each session of a settler. The session holds an advisory lock on it, which
-- PostgreSQL lets go of when the session ends, whatever ended it. Never given twice, so that
-- nobody is taken for somebody else: at one a second it lasts for 68 years, and then begins again.
CREATE SEQUENCE claimants AS integer CYCLE;

-- In no index, like the rest of a claim. Empty: only the lease says until when.
ALTER TABLE payments ADD COLUMN claimed_by integer;
