"""Requests that wait for the next event of a real server, over sockets."""

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from processes import Client, Reply, System, find_free_port, wait_until

WAIT = 30
"""Seconds that no test waits, unless it fails."""


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def impatient_api(system: System, account: dict[str, str], tmp_path: Path) -> Iterator[System]:
    """Another API of the same system, whose requests must arrive within a second."""
    assert account
    environ = {
        **system.environ,
        "PORT": str(find_free_port()),
        "REQUEST_TIMEOUT_SECONDS": "1",
        "WEB_WORKERS": "1",
    }
    api = System(environ, tmp_path / "api.log")
    try:
        api.start("api")
        yield api
    finally:
        api.stop()


def get_last_sequence(client: Client) -> int:
    items = client.request("GET", "/events?limit=1").data["items"]
    return items[0]["sequence"] if items else 0


def wait_for_events(client: Client, after: int, seconds: int = WAIT) -> Reply:
    return client.request("GET", f"/events?after={after}&wait={seconds}")


def await_poller(system: System) -> None:
    """A request waits as soon as a connection has read the counters for it."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND query LIKE 'ROLLBACK%'"
        " AND clock_timestamp() - query_start < interval '0.2 seconds'"
    )
    wait_until(lambda: system.query_number(query) > 0, 60, "the counters are read")


def test_waiting_requests_get_the_event_of_a_payment_created_meanwhile(
    client: Client, threads: ThreadPoolExecutor
) -> None:
    after = get_last_sequence(client)
    waits = [threads.submit(wait_for_events, client, after) for _ in range(8)]
    payment_id = client.pay(5_000).data["id"]
    for wait in waits:
        reply = wait.result()
        assert reply.status == 200, reply.raw
        [event] = reply.data["items"]
        assert (event["sequence"], event["type"]) == (after + 1, "payment.succeeded")
        assert event["paymentId"] == event["data"]["id"] == payment_id
        assert reply.seconds < WAIT


def test_connection_stays_open_after_a_wait_longer_than_the_request_timeout(
    impatient_api: System, client: Client
) -> None:
    host = urlsplit(impatient_api.base_url).netloc
    connection = http.client.HTTPConnection(host, timeout=60)
    headers = {"Authorization": f"Bearer {client.key}"}
    after = get_last_sequence(client)
    for _ in range(2):
        connection.request("GET", f"/api/v1/events?after={after}&wait=2", headers=headers)
        reply = connection.getresponse()
        assert (reply.status, json.loads(reply.read())["data"]["items"]) == (200, [])
        assert connection.sock, "the server has closed the connection"
    connection.close()


def test_sigterm_answers_waiting_requests(
    impatient_api: System, client: Client, threads: ThreadPoolExecutor
) -> None:
    waiting = Client(impatient_api.base_url, client.key)
    after = get_last_sequence(client)
    waits = [threads.submit(wait_for_events, waiting, after) for _ in range(4)]
    await_poller(impatient_api)
    assert not any(wait.done() for wait in waits)
    impatient_api.running["api"].terminate()
    replies = [wait.result() for wait in waits]
    assert [(reply.status, reply.data["items"]) for reply in replies] == [(200, [])] * 4
    assert {reply.headers["Connection"] for reply in replies} == {"close"}
    assert all(reply.seconds < WAIT for reply in replies)
    assert impatient_api.running["api"].wait(60) == 0
    assert "graceful timeout" not in impatient_api.read_log()


def test_tail_prints_events_until_interrupted(
    system: System, client: Client, account: dict[str, str]
) -> None:
    after = get_last_sequence(client)
    command = [sys.executable, "-m", "atomic_worker", "events", "tail", "--json"]
    command += ["--merchant", account["merchantId"], "--after", str(after)]
    with subprocess.Popen(
        command, env=system.environ, stdout=subprocess.PIPE, start_new_session=True
    ) as tail:
        assert tail.stdout
        payment_ids = [client.pay().data["id"] for _ in range(2)]
        events = [json.loads(tail.stdout.readline()) for _ in payment_ids]
        assert {event["paymentId"] for event in events} == set(payment_ids)
        assert [event["sequence"] for event in events] == [after + 1, after + 2]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(60) == 0


class EnoughEvents(Exception):
    """Ends the documented program, which otherwise runs for ever."""


def test_documented_consumer_goes_on_where_it_stopped(
    system: System, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs/events.md"
    [program] = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    # The test's own `process` takes the place of the one that prints.
    program, replaced = re.subn(
        r"^def process.*?(?=^while)", "", program, flags=re.MULTILINE | re.DOTALL
    )
    assert replaced == 1
    monkeypatch.chdir(tmp_path)
    after = get_last_sequence(client)
    Path("position").write_text(str(after))
    for _ in range(2):
        client.pay()
    processed: list[int] = []

    def process(event: dict[str, Any]) -> None:
        if len(processed) in (1, 3):
            processed.append(0)
            raise EnoughEvents
        processed.append(event["sequence"])

    monkeypatch.setenv("BASE_URL", system.base_url)
    monkeypatch.setenv("API_KEY", client.key)
    for _ in range(2):
        with pytest.raises(EnoughEvents):
            exec(program, {"process": process})  # noqa: S102
        client.pay()
    assert processed == [after + 1, 0, after + 2, 0]
