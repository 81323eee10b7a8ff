"""gunicorn's settings: `gunicorn -c atomic_web/server/gunicorn_conf.py`.

Also where metrics come out: every worker counts into files of one directory, and the master
adds them up on a port of its own, so that no caller of the API can read them.
"""

import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings

_settings = Settings.load()

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
# Requests leave few cycles behind: exceptions with their tracebacks above all.
_COLLECT = (50_000, 20, 50)

_OURS = f"atomic-metrics-{os.getpid()}-"

if _settings.metrics_port is not None and not os.environ.get(_DIRECTORY):
    # prometheus_client decides when it is imported, in the workers, whether it counts for one
    # process or for several.
    os.environ[_DIRECTORY] = tempfile.mkdtemp(prefix=_OURS)

wsgi_app = "atomic_web.wsgi:app"

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"

# Greenlets, because requests wait most of their time: one costs less than a thread to switch to
# (a third more requests answered), and a slow client holds a few kilobytes instead of a thread.
# The worker patches the standard library after the fork, before it loads the application; so
# nothing that holds on to sockets or locks may be imported here.
worker_class = "atomic_web.server.gunicorn_worker.Worker"
workers = _settings.web_workers

# Each worker listens for itself. With one shared socket all kept-alive connections can land on
# one worker: 2,400 requests/s instead of 6,600.
reuse_port = True

# Loaded after the fork: connections do not survive one.
preload_app = False

# A worker whose main loop has not moved for this long is killed. Requests end far sooner: the
# statement time-out sees to that, as long as PostgreSQL runs at all. A server that is frozen,
# not gone, holds its callers until it moves again.
timeout = 30

# How long requests in flight may still take after SIGTERM.
graceful_timeout = max(1, int(_settings.shutdown_grace.total_seconds()))

# Idle connections are kept this long. A proxy in front
# must give its idle connections up earlier, or it writes into one that is being closed.
keepalive = 15

# Per worker; beyond it connections wait in the backlog.
worker_connections = _settings.web_connections

# Our longest honest request line has 60 bytes, and no header of ours more than 300: these only
# leave room for what proxies add. More is answered 414 or 431 before any of our code runs.
limit_request_line = 4_094
limit_request_fields = 100
limit_request_field_size = 8_190

# gunicorn's own parser, also where its C parser happens to be installed: that one takes folded
# headers and bare line feeds, which others on the way read differently.
http_parser = "python"

# The peer is believed about nothing: not the scheme, and not SCRIPT_NAME or PATH_INFO headers.
# Where proxies are trusted, TRUSTED_PROXIES counts them and the application reads the address.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# The heartbeat file in memory: on a disk that stalls, healthy workers would look dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


class _QuietLogger(Logger):
    """One line per request is written by the application, which knows what may be written."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Nothing. With accesslog alone switched off, a configuration by dictionary such as ours
        makes gunicorn put every line together all the same."""


accesslog = None
logger_class = _QuietLogger

# A socket for gunicorn's own remote control, which nobody here uses.
control_socket_disable = True

# gunicorn's words go the way of all others, through the root logger set up in on_starting.
logconfig_dict: dict[str, Any] = {
    "root": {"level": "INFO", "handlers": []},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}},
    "handlers": {},
    "formatters": {},
}


def on_starting(server: Any) -> None:  # noqa: ARG001
    configure_logging(_settings)


def when_ready(server: Any) -> None:
    if _settings.metrics_port is None:
        return
    # Imported here, after the variable is set; the workers import it for themselves.
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    server.metrics, _ = start_http_server(_settings.metrics_port, _settings.host, registry)


def post_fork(server: Any, worker: Any) -> None:
    worker.request_seconds = _settings.request_timeout.total_seconds()
    metrics = getattr(server, "metrics", None)
    if metrics is not None:
        # The master's port is the master's: a worker that outlives it must not hold it.
        metrics.socket.close()


def post_worker_init(worker: Any) -> None:
    # Imported here, after the worker has patched the standard library.
    from atomic_web.http.security_headers import headers_for_all

    worker.headers = headers_for_all(_settings)
    # What is loaded now stays; what a request makes is dropped by reference counts. Looking for
    # cycles as often as Python does by default took about a tenth of a worker's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    if os.environ.get(_DIRECTORY):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:  # noqa: ARG001
    directory = Path(os.environ.get(_DIRECTORY, ""))
    if directory.name.startswith(_OURS):
        shutil.rmtree(directory, ignore_errors=True)
