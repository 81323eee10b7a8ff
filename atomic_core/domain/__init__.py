"""What is true of payments and ledgers, whoever asks. No clock, no I/O, no randomness."""
