-- Nothing is lost. The role of the application then needs the rights of the triggers itself: connect as
-- the owner of the tables.
ALTER FUNCTION holds_are_summed() SECURITY INVOKER;
ALTER FUNCTION ledger_transactions_of_payment() SECURITY INVOKER;
ALTER FUNCTION payments_are_listed() SECURITY INVOKER;
ALTER FUNCTION posted_has_succeeded() SECURITY INVOKER;
ALTER FUNCTION refunds_are_listed() SECURITY INVOKER;
ALTER FUNCTION refunds_are_summed() SECURITY INVOKER;

GRANT EXECUTE ON FUNCTION
    holds_are_summed(), ledger_transactions_of_payment(), payments_are_listed(),
    posted_has_succeeded(), refunds_are_listed(), refunds_are_summed()
    TO PUBLIC;
