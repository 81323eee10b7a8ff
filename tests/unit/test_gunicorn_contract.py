"""What our worker relies on of gunicorn's internals. A new gunicorn that changes one of these fails
here first; docs/http-server.md lists them."""

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.http import body, errors, message, parser, unreader, wsgi
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.ggevent import GeventWorker
from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
REQUEST_PARSER: Any = parser.RequestParser


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_installed_version_is_in_the_tested_range() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(line) for line in project["dependencies"]]
    [gunicorn] = [requirement for requirement in requirements if requirement.name == "gunicorn"]
    assert any(specifier.operator == "<" for specifier in gunicorn.specifier), "has no upper bound"
    assert version("gunicorn") in gunicorn.specifier


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (REQUEST_PARSER.__init__, ["self", "cfg", "source", "source_addr"]),
        (REQUEST_PARSER.finish_body, ["self", "deadline", "max_bytes"]),
        (getattr(unreader.Unreader, "take_buffered"), ["self"]),  # noqa: B009
        (unreader.Unreader.unread, ["self", "data"]),
        (message.Message.set_body_reader, ["self"]),
        (body.ChunkedReader.__init__, ["self", "req", "unreader"]),
        (body.ChunkedReader.parse_chunk_size, ["self", "unreader", "data"]),
        (getattr(body.ChunkedReader, "read_into"), ["self", "unreader", "buf"]),  # noqa: B009
        (wsgi.Response.write, ["self", "arg"]),
        (wsgi.Response.should_close, ["self"]),
        (wsgi.Response.default_headers, ["self"]),
        (wsgi.Response.force_close, ["self"]),
        (BaseWorker.handle_error, ["self", "req", "client", "addr", "exc"]),
        (BaseWorker.notify, ["self"]),
        (getattr(util, "close_graceful"), ["sock", "timeout"]),  # noqa: B009
    ],
)
def test_signature_is_the_expected_one(function: Any, expected: list[str]) -> None:
    assert parameters(function)[: len(expected)] == expected


def test_wsgi_create_takes_a_response_class() -> None:
    names = parameters(wsgi.create)
    assert names[:5] == ["req", "sock", "client", "server", "cfg"]
    assert "response_class" in names


def test_chunked_reader_reads_chunk_headers_through_the_overridden_methods() -> None:
    reader: Any = body.ChunkedReader
    for method in (reader.parse_chunk_size, reader.parse_trailers):
        assert "self.read_into(unreader, buf)" in inspect.getsource(method)
    assert inspect.getsource(reader.parse_chunked).count("self.parse_chunk_size(unreader") == 2
    assert "self.limit_trailer_section" in inspect.getsource(reader.parse_trailers)
    assert "self.mesg_class(" in inspect.getsource(parser.Parser)


def test_socket_unreader_calls_only_recv_of_its_socket() -> None:
    source = inspect.getsource(unreader.SocketUnreader)
    assert "self.sock.recv(" in source
    assert source.count("self.sock.") == 1


def test_response_sends_through_its_socket_and_keeps_its_state_in_these_fields() -> None:
    source = inspect.getsource(wsgi.Response)
    for name in ("headers_sent", "response_length", "headers", "sent", "sock", "req"):
        assert f"self.{name}" in source


def test_worker_patches_after_the_fork_and_wakes_through_its_pipe() -> None:
    assert "self.patch()" in inspect.getsource(GeventWorker.init_process)
    source = inspect.getsource(BaseWorker)
    assert "self.PIPE = os.pipe()" in source
    assert "set_wakeup_fd(self.PIPE[1])" in source
    assert "self.alive = False" in inspect.getsource(BaseWorker.handle_exit)


def test_worker_installs_its_handlers_before_post_worker_init() -> None:
    """SIGTERM is blocked from the fork until post_worker_init."""
    source = inspect.getsource(BaseWorker.init_process)
    assert source.index("self.init_signals()") < source.index("self.cfg.post_worker_init(self)")
    assert source.index("self.cfg.post_worker_init(self)") < source.index("self.run()")


def test_each_worker_has_its_own_socket_with_reuse_port() -> None:
    assert "worker.sockets = sock.create_sockets(" in inspect.getsource(Arbiter.spawn_worker)


def test_parse_errors_have_a_common_base_class() -> None:
    for name in ("InvalidHeader", "LimitRequestLine", "LimitRequestHeaders", "InvalidChunkSize"):
        assert issubclass(getattr(errors, name), errors.ParseException)
