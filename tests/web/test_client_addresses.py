"""The client address that a request is counted under."""

import pytest

from atomic_web.access.rate_limiting import get_client_subject
from web.web_client import WebApp


def test_each_client_address_has_its_own_window(web: WebApp) -> None:
    client = web.with_settings(RATE_LIMIT_SERVICE="1/60").client

    def status(address: str) -> int:
        environ = {"REMOTE_ADDR": address}
        return client.get("/api/v1/health", environ_overrides=environ).status_code

    assert [status("192.0.2.1"), status("192.0.2.2"), status("192.0.2.1")] == [200, 200, 429]
    assert [status(""), status("")] == [200, 429]


@pytest.mark.parametrize(("proxies", "statuses"), [("0", [200, 429]), ("1", [200, 200])])
def test_forwarded_address_is_used_from_a_trusted_proxy_only(
    web: WebApp, proxies: str, statuses: list[int]
) -> None:
    client = web.with_settings(RATE_LIMIT_SERVICE="1/60", TRUSTED_PROXIES=proxies).client
    answers = [
        client.get("/api/v1/health", headers={"X-Forwarded-For": f"192.0.2.{number}"})
        for number in (1, 2)
    ]
    assert [answer.status_code for answer in answers] == statuses


def test_forwarded_addresses_that_the_client_added_are_ignored(web: WebApp) -> None:
    client = web.with_settings(RATE_LIMIT_SERVICE="1/60", TRUSTED_PROXIES="1").client
    answers = [
        client.get("/api/v1/health", headers={"X-Forwarded-For": f"{spoofed}, 192.0.2.9"})
        for spoofed in ("192.0.2.1", "192.0.2.2")
    ]
    assert [answer.status_code for answer in answers] == [200, 429]


@pytest.mark.parametrize(
    "forwarded", ["", ",", ", ,", "unknown", "\x00", "é", "1.2.3.4:80", "x" * 8_000]
)
def test_malformed_forwarded_header_causes_no_5xx(web: WebApp, forwarded: str) -> None:
    client = web.with_settings(TRUSTED_PROXIES="1").client
    response = client.get("/api/v1/health", headers={"X-Forwarded-For": forwarded})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        (None, "local"),
        ("", "local"),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("192.0.2.1:2000", "192.0.2.1"),
        ("[2001:db8:1:2::1]:2000", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("192.0.2.01", "unreadable"),
        ("unknown", "unreadable"),
        ("x" * 100, "unreadable"),
    ],
)
def test_client_subject_is_the_ipv4_address_or_the_ipv6_network(
    address: str | None, subject: str
) -> None:
    assert get_client_subject(address) == subject
