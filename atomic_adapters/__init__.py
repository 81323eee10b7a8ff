"""Everything the core's ports touch in the real world, and its in-memory double."""
