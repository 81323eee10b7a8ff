"""The rules of payments and the ledger. No clock, no I/O, no randomness."""
