-- Triggers write the tables that follow from others with the rights of the tables' owner. The role of
-- the application needs no right to change what they keep: sums, pending amounts, list indexes.
-- depends: 0014.commit-guards

-- Changes the catalog only, and locks no table: payments flow meanwhile. Suits the previous version.
--
-- Their search_path is pinned since 0014. EXECUTE is needed to create a trigger, not for one that
-- exists: without it, no role can put these functions on a table of its own.
ALTER FUNCTION holds_are_summed() SECURITY DEFINER;
ALTER FUNCTION ledger_transactions_of_payment() SECURITY DEFINER;
ALTER FUNCTION payments_are_listed() SECURITY DEFINER;
ALTER FUNCTION posted_has_succeeded() SECURITY DEFINER;
ALTER FUNCTION refunds_are_listed() SECURITY DEFINER;
ALTER FUNCTION refunds_are_summed() SECURITY DEFINER;

REVOKE EXECUTE ON FUNCTION
    holds_are_summed(), ledger_transactions_of_payment(), payments_are_listed(),
    posted_has_succeeded(), refunds_are_listed(), refunds_are_summed()
    FROM PUBLIC;
