"""gunicorn's settings: `gunicorn -c atomic_web/server/gunicorn_conf.py`.

Also serves the metrics: every worker writes its counts to files in one directory, and the master
serves their sums on a port of its own, which callers of the API cannot reach.
"""

import gc
import os
import shutil
import signal
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from gunicorn.glogging import Logger

from atomic_adapters.environ import SettingsError
from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings

_settings = Settings.load()
_log = structlog.get_logger(__name__)

_METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_OWN_METRICS_PREFIX = f"atomic-metrics-{os.getpid()}-"

# Requests create few reference cycles, mostly exceptions with their tracebacks. Collecting as
# often as Python does by default took about a tenth of a worker's time.
_GC_THRESHOLDS = (50_000, 20, 50)

if _settings.metrics_port is not None and not os.environ.get(_METRICS_DIRECTORY):
    # prometheus_client reads this when it is imported, in the workers, and then shares its counts
    # between processes.
    os.environ[_METRICS_DIRECTORY] = tempfile.mkdtemp(prefix=_OWN_METRICS_PREFIX)

wsgi_app = "atomic_web.wsgi:app"

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"

# Greenlets, because requests spend most of their time waiting: switching to one costs less than to
# a thread (a third more requests per second), and a slow client holds a few kilobytes instead of a
# thread. The worker patches the standard library after the fork and before it loads the
# application, so this module must not import anything that keeps sockets or locks.
worker_class = "atomic_web.server.gunicorn_worker.Worker"
workers = _settings.web_workers

# Each worker has a listening socket of its own. With a shared one, all kept-alive connections can
# end up on one worker: 2,400 requests/s instead of 6,600.
reuse_port = True

# The application is loaded after the fork, because connections do not survive one.
preload_app = False

# A worker whose main loop makes no progress for this long is killed. Requests end sooner by the
# statement time-out, unless PostgreSQL is frozen: then they wait until it continues.
timeout = 30

# From SIGTERM until remaining requests are aborted: the drain time, then the grace time.
_drain_seconds = _settings.drain.total_seconds()
graceful_timeout = max(1, int(_drain_seconds + _settings.shutdown_grace.total_seconds()))

# Idle connections are kept this long. A proxy in front must close its idle connections earlier,
# or it sends a request on one that is being closed.
keepalive = 15

# Per worker; further connections wait in the kernel's queue.
worker_connections = _settings.web_connections

# The longest request line of the API has 60 bytes and its longest header 300; the rest is for what
# proxies add. Longer ones are answered 414 or 431 before the application runs.
limit_request_line = 4_094
limit_request_fields = 100
limit_request_field_size = 8_190

# gunicorn's Python parser, also where its C parser is installed: the C parser accepts folded
# headers and bare line feeds, which proxies may read differently (request smuggling).
http_parser = "python"

# No header of the peer sets the scheme, SCRIPT_NAME or PATH_INFO. With TRUSTED_PROXIES the
# application reads the client's address from X-Forwarded-For, and nothing else.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# The heartbeat file is in memory: on a disk that stalls, healthy workers would be killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


class _QuietLogger(Logger):
    """Writes no access log: the application logs each request, without secrets."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Do nothing. With `accesslog = None` alone, gunicorn still formats every line when it is
        configured by logconfig_dict."""


accesslog = None
logger_class = _QuietLogger

# gunicorn's remote control socket is not used.
control_socket_disable = True

# gunicorn logs through the root logger, which on_starting configures.
logconfig_dict: dict[str, Any] = {
    "root": {"level": "INFO", "handlers": []},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}},
    "handlers": {},
    "formatters": {},
}


def on_starting(server: Any) -> None:  # noqa: ARG001
    configure_logging(_settings)
    try:
        # `atomic serve` has checked this; gunicorn can also be started without it.
        _settings.check_card_network()
    except SettingsError as error:
        raise SystemExit(f"Error: {error}") from error
    for notice in _settings.start_notices:
        _log.warning(notice)
    _keep_sigterm_pending_in_new_workers()


def _keep_sigterm_pending_in_new_workers() -> None:
    """Block SIGTERM around each fork of the master; a worker unblocks it in post_worker_init.

    Between the fork and its own signal handlers a worker has the master's, which would only
    queue the signal in a copy of the master's queue: the worker would miss it, and the master
    would wait for the whole graceful_timeout.
    """
    master = os.getpid()

    def change_mask(how: int) -> None:
        if os.getpid() == master:
            signal.pthread_sigmask(how, {signal.SIGTERM})

    os.register_at_fork(
        before=lambda: change_mask(signal.SIG_BLOCK),
        after_in_parent=lambda: change_mask(signal.SIG_UNBLOCK),
    )


def when_ready(server: Any) -> None:
    if _settings.metrics_port is None:
        return
    # Imported here, after the variable is set. Each worker imports it by itself.
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    server.metrics, _ = start_http_server(_settings.metrics_port, _settings.host, registry)


def post_fork(server: Any, worker: Any) -> None:
    worker.request_timeout_seconds = _settings.request_timeout.total_seconds()
    worker.drain_seconds = _drain_seconds
    metrics = getattr(server, "metrics", None)
    if metrics is not None:
        # A worker that outlives its master must not keep the metrics port open.
        metrics.socket.close()


def post_worker_init(worker: Any) -> None:
    # Imported here, after the worker has patched the standard library.
    from atomic_web.access.rate_limiting import count_malformed_request
    from atomic_web.http.security_headers import build_security_headers
    from atomic_web.server.backlog_watch import BacklogWatch

    worker.headers = build_security_headers(_settings)
    if atomic := getattr(worker.wsgi, "extensions", {}).get("atomic"):
        worker.count_malformed_request = partial(count_malformed_request, *atomic)
        application, _ = atomic
        worker.stop_waiting = application.event_signal.stop
        maintenance = application.maintenance
        BacklogWatch(maintenance.measure_backlog, maintenance.read_load).start()
    # What is loaded now is never garbage, so the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    # The worker's own handlers are installed now: a pending SIGTERM stops it before its first
    # request.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    if os.environ.get(_METRICS_DIRECTORY):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:  # noqa: ARG001
    directory = Path(os.environ.get(_METRICS_DIRECTORY, ""))
    if directory.name.startswith(_OWN_METRICS_PREFIX):
        shutil.rmtree(directory, ignore_errors=True)
