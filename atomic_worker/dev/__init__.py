"""`atomic dev`: starts, supervises and reloads every process on one machine."""
