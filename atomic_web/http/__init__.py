"""Reading requests and writing responses: bodies, queries, cursors, ids, headers."""
