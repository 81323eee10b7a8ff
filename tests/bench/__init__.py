"""`make bench`: how fast Atomic is, each figure beside a reference from the same run.

Servers of its own (durable), the real processes as production runs them, driven from outside:
over HTTP, through the schema and the command line.
"""
