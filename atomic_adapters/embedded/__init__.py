"""PostgreSQL and Valkey servers from wheels (`atomic[embedded]`), for development and tests.

The wheels' own server managers are not used: they keep global state, fixed time-outs and exit
hooks, change permissions of whole directory trees, and create a system user. Here the servers are
plain children of this process, on Unix sockets only.
"""

from atomic_adapters.embedded.postgres import EmbeddedPostgres
from atomic_adapters.embedded.process_support import EmbeddedServerError
from atomic_adapters.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServerError", "EmbeddedValkey"]
