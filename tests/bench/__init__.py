"""`make bench`: measures Atomic's speed, each figure beside a reference from the same run.

It starts its own durable servers and the real processes with the settings of production, and uses
them from outside: over HTTP, SQL and the command line.
"""
