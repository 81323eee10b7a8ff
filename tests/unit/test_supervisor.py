"""The supervisor, with small processes of its own."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from atomic_adapters.embedded import EmbeddedServerError
from atomic_adapters.embedded.child_process import start_child
from atomic_worker.dev.child import MAX_PAUSE_SECONDS, Child, Launched
from atomic_worker.dev.supervisor import MAX_LINE_BYTES, Supervisor
from atomic_worker.stop_request import DEBOUNCE_SECONDS, StopRequest
from processes import wait_until

POLITE = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
IMPATIENT = ((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0))

LIVES = "import signal, sys; print('up', flush=True); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LIVES}"


def python(script: str) -> Callable[[], Launched]:
    def launch() -> Launched:
        reader, writer = os.pipe()
        process = start_child([sys.executable, "-c", script], stdout=writer, stderr=writer)
        os.close(writer)
        return Launched(process, reader)

    return launch


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    with StopRequest.on_signals() as stop:
        yield stop


def run_until(supervisor: Supervisor, done: Callable[[], bool], within: float = 20) -> None:
    """Run until it is done, then stop."""
    deadline = time.monotonic() + within
    is_done = False

    def look() -> None:
        nonlocal is_done
        is_done = done()
        if is_done or time.monotonic() > deadline:
            supervisor.stop.request()

    supervisor.each_tick = look
    with supervisor.in_charge():
        supervisor.run()
    assert is_done


def test_lines_carry_their_process_name_also_the_last_ones(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye')))\n"
        "print('one\\ntwo', flush=True)\n"
        "signal.pause()"
    )
    child = Child("api", python(script), POLITE)
    other = Child("sweeper", python(LIVES), POLITE)
    out = ""

    def both_up() -> bool:
        nonlocal out
        out += capfd.readouterr().out
        return "two" in out and "up" in out

    run_until(Supervisor([[child], [other]], stop), both_up)
    out += capfd.readouterr().out
    assert "api     | one\napi     | two\n" in out
    assert "api     | bye\n" in out
    assert "sweeper | up\n" in out
    assert not child.running


def test_a_line_without_an_end_does_not_fill_memory(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    script = f"import signal; print('x' * {3 * MAX_LINE_BYTES}, end='', flush=True); signal.pause()"
    supervisor = Supervisor([[Child("api", python(script), POLITE)]], stop)
    seen = 0

    def read() -> bool:
        nonlocal seen
        seen += capfd.readouterr().out.count("x")
        assert all(len(rest) <= MAX_LINE_BYTES for rest in supervisor._unfinished.values())
        return seen >= 2 * MAX_LINE_BYTES

    run_until(supervisor, read)


def test_a_child_that_dies_is_started_at_once_and_then_ever_later(
    stop: StopRequest, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    script = f"open({str(starts)!r}, 'a').write('.'); raise SystemExit(3)"
    supervisor = Supervisor([[Child("worker", python(script), POLITE)]], stop)
    run_until(supervisor, lambda: starts.exists() and len(starts.read_text()) >= 4)
    out = capfd.readouterr().out
    told = [line.split("; ")[1] for line in out.splitlines() if "ended with status 3" in line]
    assert told[:3] == [
        "starting it again at once",
        "starting it again in 0.25 s",
        "starting it again in 0.5 s",
    ]


def test_pauses_are_bounded_and_forgotten_by_one_that_lasts() -> None:
    child = Child("worker", python(LIVES), POLITE)
    child._started_at = time.monotonic()
    pauses = [child.postpone() for _ in range(30)]
    assert pauses[-1] == MAX_PAUSE_SECONDS
    child._started_at -= 60
    assert child.postpone() == 0


def test_a_launch_that_fails_is_tried_again(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    tries = 0

    def launch() -> Launched:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise EmbeddedServerError("the log's tail")
        return python(LIVES)()

    child = Child("postgres", launch, POLITE)
    run_until(Supervisor([[child]], stop), lambda: child.running)
    assert "did not start, trying again in 0 s: the log's tail" in capfd.readouterr().out


def test_stages_end_last_first(stop: StopRequest) -> None:
    ended: list[str] = []

    def launch(name: str) -> Callable[[], Launched]:
        def start() -> Launched:
            launched = python(LIVES)()
            return launched._replace(release=lambda: ended.append(name))

        return start

    names = ["postgres", "valkey", "api"]
    stages = [[Child(name, launch(name), POLITE)] for name in names]
    run_until(Supervisor(stages, stop), lambda: all(stage[0].running for stage in stages))
    assert ended == list(reversed(names))


def test_one_that_does_not_listen_is_killed_with_all_it_started(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}]); {DEAF}"
    child = Child("worker", python(script), IMPATIENT)
    out = ""
    group = 0

    def both_up() -> bool:
        nonlocal out, group
        out += capfd.readouterr().out
        group = child.launched.process.pid if child.launched else 0
        return out.count("| up") == 2

    run_until(Supervisor([[child]], stop), both_up)
    wait_until(lambda: not _group_lives(group), 5, "its own child is gone too")


def _group_lives(group: int) -> bool:
    return any(_is_in(group, process) for process in psutil.process_iter())


def _is_in(group: int, process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def test_renewed_children_come_back_and_count_as_no_failure(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Child("api", python(LIVES), POLITE)
    supervisor = Supervisor([[child]], stop)
    pids: list[int] = []

    def renewed() -> bool:
        if child.launched and child.launched.process.pid not in pids and not child.ending:
            pids.append(child.launched.process.pid)
            if len(pids) == 1:
                supervisor.renew(["api", "nobody"])
        return len(pids) == 2

    run_until(supervisor, renewed)
    assert "starting it again" not in capfd.readouterr().out


def test_however_the_block_ends_no_child_stays(stop: StopRequest) -> None:
    child = Child("api", python(LIVES), POLITE)
    with pytest.raises(ZeroDivisionError), Supervisor([[child]], stop).in_charge():
        child.start()
        _ = 1 / 0
    assert not child.running


def test_one_wish_that_arrives_twice_counts_once() -> None:
    stop = StopRequest()
    stop.request()
    stop.request()
    assert stop.count == 1
    stop._last_request_at -= DEBOUNCE_SECONDS
    stop.request()
    assert stop.count == 2
    stop.close()


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest.on_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wait(0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_end_a_wait(stop: StopRequest) -> None:
    assert not stop.wait(0)
    stop.wake()
    assert not stop.wait(5), "woken, not stopped"
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(5)
