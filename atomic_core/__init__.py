"""The pure core: rules of payments and of the ledger. Imports only the standard library."""
