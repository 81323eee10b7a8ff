"""`make faults`: inject faults into a running system under load and check its data.

The suite starts its own servers and the real processes. Clients record every response, and an
audit compares the database with these records. `python tests/fault --help` lists the options.
"""
