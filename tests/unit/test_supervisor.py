"""The supervisor of `atomic dev`, and stop requests."""

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
from atomic_worker.dev import child as child_module
from atomic_worker.dev.child import MAX_PAUSE_SECONDS, Child, LaunchedProcess
from atomic_worker.dev.supervisor import MAX_LINE_BYTES, Supervisor
from atomic_worker.stop_request import DEBOUNCE_SECONDS, StopRequest
from processes import wait_until

STOP_STEPS = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 30.0))
QUICK_STOP_STEPS = ((signal.SIGTERM, 0.2), (signal.SIGKILL, 30.0))

GUARD_SECONDS = 60

RUN_UNTIL_SIGNAL = "import signal, sys; print('up', flush=True); signal.pause()"
IGNORE_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {RUN_UNTIL_SIGNAL}"


def build_launch(script: str) -> Callable[[], LaunchedProcess]:
    def launch() -> LaunchedProcess:
        reader, writer = os.pipe()
        process = start_child([sys.executable, "-c", script], stdout=writer, stderr=writer)
        os.close(writer)
        return LaunchedProcess(process, reader)

    return launch


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    with StopRequest.on_signals() as stop:
        yield stop


def run_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    """Run the supervisor until the condition holds, then stop it."""
    deadline = time.monotonic() + GUARD_SECONDS
    has_held = False

    def check() -> None:
        nonlocal has_held
        has_held = condition()
        if has_held or time.monotonic() > deadline:
            supervisor.stop.request()

    supervisor.on_tick = check
    with supervisor.stop_children_on_exit():
        supervisor.run()
    assert has_held


def test_every_line_has_its_process_name(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye')))\n"
        "print('one\\ntwo', flush=True)\n"
        "signal.pause()"
    )
    child = Child("api", build_launch(script), STOP_STEPS)
    other = Child("sweeper", build_launch(RUN_UNTIL_SIGNAL), STOP_STEPS)
    out = ""

    def are_both_up() -> bool:
        nonlocal out
        out += capfd.readouterr().out
        return "two" in out and "up" in out

    run_until(Supervisor([[child], [other]], stop), are_both_up)
    out += capfd.readouterr().out
    assert "api     | one\napi     | two\n" in out
    assert "api     | bye\n" in out
    assert "sweeper | up\n" in out
    assert not child.is_running


def test_line_without_end_is_printed_in_parts(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    script = f"import signal; print('x' * {3 * MAX_LINE_BYTES}, end='', flush=True); signal.pause()"
    supervisor = Supervisor([[Child("api", build_launch(script), STOP_STEPS)]], stop)
    printed = 0

    def has_printed_parts() -> bool:
        nonlocal printed
        printed += capfd.readouterr().out.count("x")
        assert all(len(line) <= MAX_LINE_BYTES for line in supervisor._partial_lines.values())
        return printed >= 2 * MAX_LINE_BYTES

    run_until(supervisor, has_printed_parts)


def test_exiting_child_is_restarted_at_once_then_after_growing_pauses(
    stop: StopRequest,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a busy machine, the child needs long to start and exit.
    monkeypatch.setattr(child_module, "STABLE_SECONDS", float("inf"))
    starts = tmp_path / "starts"
    script = f"open({str(starts)!r}, 'a').write('.'); raise SystemExit(3)"
    supervisor = Supervisor([[Child("worker", build_launch(script), STOP_STEPS)]], stop)
    run_until(supervisor, lambda: starts.exists() and len(starts.read_text()) >= 4)
    out = capfd.readouterr().out
    restarts = [line.split("; ")[1] for line in out.splitlines() if "ended with status 3" in line]
    assert restarts[:3] == [
        "starting it again at once",
        "starting it again in 0.25 s",
        "starting it again in 0.5 s",
    ]


def test_restart_pauses_are_bounded_and_reset_after_stable_run() -> None:
    child = Child("worker", build_launch(RUN_UNTIL_SIGNAL), STOP_STEPS)
    child._started_at = time.monotonic()
    pauses = [child.postpone() for _ in range(30)]
    assert pauses[-1] == MAX_PAUSE_SECONDS
    child._started_at -= 60
    assert child.postpone() == 0


def test_failed_launch_is_retried(stop: StopRequest, capfd: pytest.CaptureFixture[str]) -> None:
    attempts = 0

    def launch() -> LaunchedProcess:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise EmbeddedServerError("the log's tail")
        return build_launch(RUN_UNTIL_SIGNAL)()

    child = Child("postgres", launch, STOP_STEPS)
    run_until(Supervisor([[child]], stop), lambda: child.is_running)
    assert "did not start, trying again in 0 s: the log's tail" in capfd.readouterr().out


def test_stages_stop_in_reverse_order(stop: StopRequest) -> None:
    ended: list[str] = []

    def launch(name: str) -> Callable[[], LaunchedProcess]:
        def start() -> LaunchedProcess:
            launched = build_launch(RUN_UNTIL_SIGNAL)()
            return launched._replace(release=lambda: ended.append(name))

        return start

    names = ["postgres", "valkey", "api"]
    stages = [[Child(name, launch(name), STOP_STEPS)] for name in names]
    run_until(Supervisor(stages, stop), lambda: all(stage[0].is_running for stage in stages))
    assert ended == list(reversed(names))


def test_child_that_ignores_sigterm_is_killed_with_its_descendants(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    start_descendant = f"subprocess.Popen([sys.executable, '-c', {IGNORE_SIGTERM!r}])"
    script = f"import subprocess, sys; {start_descendant}; {IGNORE_SIGTERM}"
    child = Child("worker", build_launch(script), QUICK_STOP_STEPS)
    out = ""
    group = 0

    def are_both_up() -> bool:
        nonlocal out, group
        out += capfd.readouterr().out
        group = child.launched_process.process.pid if child.launched_process else 0
        return out.count("| up") == 2

    run_until(Supervisor([[child]], stop), are_both_up)
    wait_until(
        lambda: not _is_group_alive(group),
        GUARD_SECONDS,
        "the descendant is killed with its parent",
    )


def _is_group_alive(group: int) -> bool:
    return any(_is_alive_in_group(group, process) for process in psutil.process_iter())


def _is_alive_in_group(group: int, process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def test_restart_of_children_does_not_count_as_failure(
    stop: StopRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Child("api", build_launch(RUN_UNTIL_SIGNAL), STOP_STEPS)
    supervisor = Supervisor([[child]], stop)
    pids: list[int] = []

    def is_restarted() -> bool:
        launched = child.launched_process
        if launched and launched.process.pid not in pids and not child.is_stopping:
            pids.append(launched.process.pid)
            if len(pids) == 1:
                supervisor.restart_children(["api", "unknown"])
        return len(pids) == 2

    run_until(supervisor, is_restarted)
    assert "starting it again" not in capfd.readouterr().out


def test_children_stop_when_the_block_raises(stop: StopRequest) -> None:
    child = Child("api", build_launch(RUN_UNTIL_SIGNAL), STOP_STEPS)
    with pytest.raises(ZeroDivisionError), Supervisor([[child]], stop).stop_children_on_exit():
        child.start()
        _ = 1 / 0
    assert not child.is_running


def test_leaving_the_block_late_is_no_second_request(stop: StopRequest) -> None:
    """A second request kills the children. On a busy machine, the block ends long after the first
    one."""
    with Supervisor([], stop).stop_children_on_exit():
        stop.request()
        stop._last_request_at -= DEBOUNCE_SECONDS
    assert stop.count == 1


def test_repeated_stop_request_counts_once() -> None:
    stop = StopRequest()
    stop.request()
    stop.request()
    assert stop.count == 1
    stop._last_request_at -= DEBOUNCE_SECONDS
    stop.request()
    assert stop.count == 2
    stop.close()


def test_ignored_signal_stays_ignored() -> None:
    previous_handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest.on_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wait(0)
    finally:
        signal.signal(signal.SIGHUP, previous_handler)


def test_wake_and_signal_end_a_wait(stop: StopRequest) -> None:
    assert not stop.wait(0)
    stop.wake()
    assert not stop.wait(GUARD_SECONDS), "wake() does not request a stop"
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(GUARD_SECONDS)
