"""The `atomic` command, the RQ worker and the sweeper."""
