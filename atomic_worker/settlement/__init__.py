"""Concurrent settlement and the sweeper."""
