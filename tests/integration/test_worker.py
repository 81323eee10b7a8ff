"""The worker on a real Valkey: wake-ups, restarts, signals."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback

from atomic_adapters.embedded import EmbeddedValkey
from atomic_adapters.redis.connections import RedisDependency
from atomic_adapters.redis.rq_job_queue import get_wakeup_queue
from atomic_core.domain.payments import Status
from processes import PAUSE, as_application, environment, wait_until
from support import (
    Store,
    add_merchant,
    build_application,
    build_payment,
    find_payment,
    open_account,
)

JOB = "atomic_worker.jobs.settle"


@pytest.fixture
def box(scratch: Path) -> Iterator[list[EmbeddedValkey]]:
    box = [EmbeddedValkey.start(scratch / "worker-valkey")]
    yield box
    box[0].process.send_signal(signal.SIGCONT)
    box[0].stop()


class Worker:
    def __init__(self, url: str, database_url: str, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "atomic_worker", "worker"],
                env=environment(database_url, url),
                stdout=output,
                stderr=output,
            )

    @property
    def words(self) -> str:
        return self.log.read_text(errors="replace")

    def started(self) -> "Worker":
        wait_until(lambda: "worker started" in self.words, 60, "it starts")
        return self


@pytest.fixture
def worker(box: list[EmbeddedValkey], database_url: str, scratch: Path) -> Iterator[Worker]:
    worker = Worker(box[0].url, database_url, scratch / "worker.log").started()
    yield worker
    worker.process.kill()
    worker.process.wait()


def jobs_waiting(url: str) -> int:
    with Redis.from_url(url) as redis:
        return get_wakeup_queue(redis).count


def jobs_left(url: str) -> int:
    """Waiting or being executed."""
    with Redis.from_url(url) as redis:
        return len(redis.keys("rq:job:*"))


def notify(url: str) -> None:
    with Redis.from_url(url) as redis:
        get_wakeup_queue(redis).enqueue_call(JOB, result_ttl=0)


def test_worker_settles_on_wake_up_and_exits_on_sigterm(
    worker: Worker, box: list[EmbeddedValkey]
) -> None:
    notify(box[0].url)
    wait_until(lambda: jobs_waiting(box[0].url) == 0, 60, "the job is taken")
    worker.process.terminate()
    assert worker.process.wait(60) == 0
    assert "worker stopped" in worker.words


def test_started_worker_settles_what_no_wake_up_announces(
    postgres_store: Store, box: list[EmbeddedValkey], database_url: str, scratch: Path
) -> None:
    """A killed worker takes the wake-up with it that it has dequeued."""
    merchant_id = add_merchant(postgres_store.begin)
    open_account(postgres_store.begin, merchant_id)
    application = build_application(postgres_store.begin)
    payment = application.payments.record(build_payment(merchant_id))

    def get_status() -> Status:
        with postgres_store.begin() as work:
            found = find_payment(work, merchant_id, payment.id)
            assert found
            return found.status

    worker = Worker(box[0].url, as_application(database_url), scratch / "successor.log")
    try:
        wait_until(lambda: get_status() is Status.SUCCESS, 60, "the payment is settled")
    finally:
        worker.process.kill()
        worker.process.wait()


def test_worker_executes_no_unknown_job(
    worker: Worker, box: list[EmbeddedValkey], tmp_path: Path
) -> None:
    """RQ itself would call whatever is named; write access to Redis would be a shell."""
    proof = tmp_path / "proof"
    unknown_jobs: list[dict[str, Any]] = [
        {"func": "os.system", "args": (f"touch {proof}",)},
        {"func": JOB, "on_success": Callback("os.getcwd")},
        {"func": JOB, "args": (f"touch {proof}",)},
    ]
    with Redis.from_url(box[0].url) as redis:
        assert redis.pubsub_channels() == [], "it accepts no commands of RQ"
        for count, job in enumerate(unknown_jobs, 1):
            get_wakeup_queue(redis).enqueue_call(**job)
            wait_until(
                lambda count=count: worker.words.count("unknown job rejected") == count,
                60,
                "the job is refused",
            )
            wait_until(lambda: redis.keys("rq:job:*") == [], 60, "nothing of it is left")
    assert not proof.exists()
    notify(box[0].url)
    wait_until(lambda: jobs_waiting(box[0].url) == 0, 60, "the worker goes on")


def test_worker_reconnects_to_a_restarted_valkey(
    worker: Worker, box: list[EmbeddedValkey], scratch: Path
) -> None:
    # RQ ends if Redis goes away in the middle of a job, such as the worker's own wake-up.
    wait_until(lambda: jobs_left(box[0].url) == 0, 60, "its own wake-up is done")
    box[0].process.kill()
    box[0].process.wait()
    box[0].stop()
    PAUSE.wait(0.5)
    box[0] = EmbeddedValkey.start(scratch / "worker-valkey")
    notify(box[0].url)
    wait_until(lambda: jobs_waiting(box[0].url) == 0, 60, "the worker is back")
    assert worker.process.poll() is None


def fill(url: str) -> None:
    """Refuse every write, as at maxmemory without a key that may be evicted."""
    with Redis.from_url(url) as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", "1")
        assert not RedisDependency(redis).is_up(), "readiness reports it"


def make_room(url: str) -> None:
    with Redis.from_url(url) as redis:
        redis.config_set("maxmemory", "0")
        assert RedisDependency(redis).is_up()


def test_worker_waits_while_valkey_is_full_and_goes_on(
    worker: Worker, box: list[EmbeddedValkey]
) -> None:
    for times in (1, 2):
        fill(box[0].url)
        wait_until(lambda n=times: worker.words.count("redis full") == n, 60, "it notices")
        make_room(box[0].url)
        wait_until(
            lambda n=times: worker.words.count("worker started") == n + 1, 60, "it starts again"
        )
        notify(box[0].url)
        wait_until(lambda: jobs_waiting(box[0].url) == 0, 60, "the job is taken")
    assert worker.process.poll() is None
    worker.process.terminate()
    assert worker.process.wait(60) == 0


def test_worker_started_on_a_full_valkey_waits_until_it_accepts_writes(
    box: list[EmbeddedValkey], database_url: str, scratch: Path
) -> None:
    fill(box[0].url)
    worker = Worker(box[0].url, database_url, scratch / "early.log")
    try:
        wait_until(lambda: "redis full" in worker.words, 60, "it notices")
        make_room(box[0].url)
        worker.started()
        wait_until(lambda: jobs_waiting(box[0].url) == 0, 60, "its own wake-up is taken")
        assert worker.process.poll() is None
    finally:
        worker.process.kill()
        worker.process.wait()


@pytest.mark.parametrize("ends", ["by SIGTERM", "because Valkey is gone"])
def test_worker_that_waits_for_memory_ends(
    worker: Worker, box: list[EmbeddedValkey], ends: str
) -> None:
    fill(box[0].url)
    wait_until(lambda: "redis full" in worker.words, 60, "it notices")
    if ends == "by SIGTERM":
        worker.process.terminate()
        assert worker.process.wait(60) == 0
        assert "worker stopped" in worker.words
    else:
        box[0].process.kill()
        box[0].process.wait()
        assert worker.process.wait(60) == 1, "its supervisor starts it again"


def test_worker_exits_on_sigterm_without_valkey(worker: Worker, box: list[EmbeddedValkey]) -> None:
    box[0].process.kill()
    box[0].process.wait()
    PAUSE.wait(0.3)
    worker.process.terminate()
    assert worker.process.wait(60) == 0


def test_worker_without_valkey_at_start_exits_with_one_line(
    database_url: str, scratch: Path
) -> None:
    worker = Worker("redis://127.0.0.1:1", database_url, scratch / "alone.log")
    assert worker.process.wait(60) == 1
    assert worker.words.startswith("Error: Redis is unreachable:")
    assert len(worker.words.splitlines()) == 1
