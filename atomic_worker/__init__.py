"""The operators' door: the `atomic` command, the worker and the sweeper."""
