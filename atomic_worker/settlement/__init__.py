"""The processes that settle: the RQ worker and the sweeper."""
