"""Where a webhook may go, in the spellings that people use to get elsewhere."""

import ipaddress
import re
from collections.abc import Sequence

import pytest

from atomic_adapters.settings import Settings
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.webhook_urls import (
    EVERY_NETWORK,
    MAX_URL_LENGTH,
    Network,
    check_webhook_url,
    is_allowed_address,
)
from atomic_web.schemas.descriptions import get_json_schema
from atomic_web.schemas.payments import NewPaymentSchema

PUBLIC = [
    "https://example.com/hook",
    "http://example.com",
    "https://EXAMPLE.com/Hook",
    "https://example.com.",
    "https://example.com:8443/a/b?c=d&e=%20#f",
    "https://example.com:/",
    "https://hooks.my-shop_1.example.co.uk/",
    "https://xn--bcher-kva.example/",
    "https://example.com/@user",
    "https://example.com/?next=http://127.0.0.1/",
    "https://8.8.8.8/",
    "https://134744072/",  # 8.8.8.8 in one number
    "https://[2606:4700:4700::1111]/",
    "https://[2606:4700:4700::1111]:8443/",
    "https://localhost.example.com/",
    "https://internal.example.com/",
    "https://example.com/" + "a" * (MAX_URL_LENGTH - 20),
]

LOOPBACK = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "foo.localhost",
    "localhost.localdomain",
    "localhost6.localdomain6",
    "ip6-localhost",
    "127.0.0.1",
    "127.0.0.1.",
    "127.0.0.1..",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "0177.0.0.1",
    "0177.1",
    "0x7f.0.0.1",
    "0x7f.1",
    "0X7F000001",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0",
    "0.0.0.0",  # noqa: S104
    "00.0x0.0",
    "127.0.0.08",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
]

NOT_PUBLIC = [
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "169.254.1",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "10.0.0.1",
    "10.1",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.257",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "168.63.129.16",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[ff02::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2002:a9fe:a9fe::]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[5f00::1]",
    "intranet",
    "db",
    "printer.local",
    "printer.LOCAL.",
    "metadata.google.internal",
    "host.docker.internal",
    "router.home.arpa",
    "nas.lan",
    "wiki.corp",
    "kubernetes.default.svc",
    "api.default.svc.cluster.local",
    "hidden.onion",
]

MALFORMED = [
    "",
    "example.com",
    "//example.com/",
    "/hook",
    "https:",
    "https://",
    "https:///example.com",
    "https:example.com",
    "https:/example.com",
    "https://:443/",
    "https://?example.com",
    "https://#example.com",
    "https://./",
    "https://../",
    "https://a..example.com/",
    "https://.example.com/",
    "https://-a.example.com/",
    "https://a-.example.com/",
    "https://" + "a" * 64 + ".example.com/",
    "https://" + "a." * 127 + "example.com/",
    "https://exa$mple.com/",
    "https://example.com;127.0.0.1/",
    "https://example.com,127.0.0.1/",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://4294967297/",
    "https://127.0.0.0x100/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:-1/",
    "https://example.com:+80/",
    "https://example.com:http/",
    "https://example.com:80:80/",
    "https://[::1/",
    "https://::1/",
    "https://[]/",
    "https://[::1]example.com/",
    "https://example.com[::1]/",
    "https://[2606:4700::1]evil.example/",
    "https://evil[2606:4700::1]/",
    "https://[v1.abc]/",
    "https://[example.com]/",
    "https://[1.2.3.4]/",
    "https://[[::1]]/",
]

USERINFO = [
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://@example.com/",
    "https://:@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1@example.com/",
    "https://127.0.0.1%40example.com@example.com/",
    "https://a@b@example.com/",
]

OTHER_SCHEMES = [
    "ftp://example.com/",
    "file:///etc/passwd",
    "file://example.com/",
    "gopher://example.com/",
    "javascript:alert(1)",
    "data:text/plain,hello",
    "ws://example.com/",
    "httpss://example.com/",
    "unix:///run/redis.sock",
    "http+unix://example.com/",
]

NOT_VISIBLE_ASCII = [
    " https://example.com/",
    "https://example.com/ ",
    "https://exam ple.com/",
    "https://example.com/\n",
    "\thttps://example.com/",
    "https://exam\tple.com/",
    "https://example.com/\r\nX-Injected: 1",
    "https://example.com/\x00",
    "https://example.com/\x7f",
    "https://bücher.example/",
    "https://ｅxample.com/",
    "https://１２７.０.０.１/",
    "https://①②⑦.⓪.⓪.①/",
    "https://١٢٧.٠.٠.١/",
    "https://127。0。0。1/",
    "https://localhost\u3002/",
    "https://loc\u00adalhost/",
    "https://example.com\\@127.0.0.1/",
    "https:\\\\example.com\\",
]

PERCENT_ENCODED_HOSTS = [
    "https://%6c%6f%63%61%6c%68%6f%73%74/",
    "https://127%2e0%2e0%2e1/",
    "https://%31%32%37.0.0.1/",
    "https://example.com%00.internal/",
    "https://example.com%2f@127.0.0.1/",
    "https://example.com%23.lan/",
    "https://%5b::1%5d/",
]


@pytest.mark.parametrize("url", PUBLIC)
def test_public_url_is_returned_unchanged(url: str) -> None:
    assert check_webhook_url(url) == url


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
@pytest.mark.parametrize("host", LOOPBACK)
def test_every_spelling_of_loopback_is_refused(scheme: str, host: str) -> None:
    for url in (f"{scheme}://{host}/", f"{scheme}://{host}:8080/hook", f"{scheme}://{host}"):
        assert_refused(url)


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_private_addresses_and_names_are_refused(host: str) -> None:
    for url in (f"https://{host}/", f"http://{host}:80/hook"):
        assert_refused(url)


@pytest.mark.parametrize(
    "url",
    [*MALFORMED, *USERINFO, *OTHER_SCHEMES, *NOT_VISIBLE_ASCII, *PERCENT_ENCODED_HOSTS],
)
def test_ambiguous_urls_are_refused(url: str) -> None:
    assert_refused(url)


def test_url_length_is_limited() -> None:
    assert_refused("https://example.com/" + "a" * MAX_URL_LENGTH)


def assert_refused(url: str, allowed_networks: Sequence[Network] = ()) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_webhook_url(url, allowed_networks)
    assert refused.value.details
    assert list(refused.value.details) == ["webhookUrl"]
    assert all(refused.value.details["webhookUrl"])


NETWORKS = {name: ipaddress.ip_network(name) for name in ("127.0.0.0/8", "::1/128", "10.0.0.0/8")}


@pytest.mark.parametrize(
    ("network", "hosts"),
    [
        ("127.0.0.0/8", ["127.0.0.1", "127.1", "0x7f.0.0.1", "localhost", "a.localhost."]),
        ("::1/128", ["[::1]", "[0:0:0:0:0:0:0:1]", "LOCALHOST"]),
        ("10.0.0.0/8", ["10.0.0.1", "10.255.255.255", "receiver", "receiver.corp", "a.svc"]),
    ],
)
def test_allowed_networks_are_accepted_and_no_other(network: str, hosts: list[str]) -> None:
    for host in hosts:
        for url in (f"http://{host}/", f"https://{host}:8443/hook"):
            assert check_webhook_url(url, [NETWORKS[network]]) == url
            assert_refused(url)
    others = {
        "127.0.0.0/8": ["10.0.0.1", "[::1]", "receiver", "[::ffff:127.0.0.1]"],
        "::1/128": ["127.0.0.1", "[::2]", "receiver"],
        "10.0.0.0/8": ["127.0.0.1", "[::1]", "192.168.0.1", "localhost", "a.localhost"],
    }
    for host in others[network]:
        assert_refused(f"http://{host}/", [NETWORKS[network]])


def test_allowed_networks_change_nothing_else() -> None:
    for url in [*MALFORMED, *USERINFO, *OTHER_SCHEMES, *NOT_VISIBLE_ASCII]:
        assert_refused(url, EVERY_NETWORK)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed_address(address)


def test_addresses_of_allowed_networks_are_allowed() -> None:
    assert is_allowed_address("127.0.0.1", [NETWORKS["127.0.0.0/8"]])
    for address in ("127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "", "localhost", "127.1"):
        assert not is_allowed_address(address, [NETWORKS["::1/128"]])


def test_documented_pattern_matches_every_accepted_url() -> None:
    pattern = documented_pattern()
    assert [url for url in PUBLIC if not re.search(pattern, url)] == []


@pytest.mark.parametrize("url", [*USERINFO, *OTHER_SCHEMES, *NOT_VISIBLE_ASCII])
def test_documented_pattern_refuses_malformed_urls(url: str) -> None:
    assert not re.search(documented_pattern().removesuffix("$") + r"\Z", url)


def documented_pattern() -> str:
    settings = Settings.from_environ({"DATABASE_URL": "postgresql:///unused"})
    (check,) = NewPaymentSchema().fields["webhook_url"].validators
    json_schema = get_json_schema(check, settings)
    assert json_schema
    return json_schema["pattern"]
