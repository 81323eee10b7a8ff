"""GET /payments, /refunds, /accounts and an account's entries."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from atomic_web.schemas.filters import MAX_PAIRS
from web.web_client import ACCOUNT_BODY, ACCOUNTS, PAYMENTS, MerchantClient, WebApp, error_code

REFUNDS = "/api/v1/refunds"
UNKNOWN = "01999999-0000-7000-8000-000000000000"
KEY = "sk_test_" + "0123456789abcdef" * 3


@pytest.fixture
def ids(web: WebApp, merchant: MerchantClient) -> list[str]:
    """The ids of five payments, one second apart, newest first."""
    made: list[str] = []
    for number in range(5):
        web.clock.time += timedelta(seconds=1)
        changes: dict[str, Any] = {"amount": 100 * (number + 1)}
        changes |= {"metadata": {"order": str(number), "a.b": "c d&e"}} if number % 2 else {}
        changes |= {"currency": "EUR"} if number == 4 else {}
        changes |= {"source": "tok_chargeDeclined"} if number == 3 else {}
        made.insert(0, merchant.pay(**changes).get_json()["data"]["id"])
    web.application.settlement.settle()
    return made


def list_page(caller: MerchantClient, path: str, **query: Any) -> dict[str, Any]:
    response = caller.get(f"{path}?{urlencode(query, doseq=True)}")
    assert response.status_code == 200, response.text
    return response.get_json()["data"]


def get_ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


def get_invalid_parameters(caller: MerchantClient, path: str, query: str) -> list[str]:
    """The names of the invalid parameters."""
    response = caller.get(f"{path}?{query}")
    assert response.status_code == 400, response.text
    assert error_code(response) == "validation_failed"
    return list(response.get_json()["error"].get("details", ()))


def test_payments_are_listed_newest_first_in_pages(
    merchant: MerchantClient, ids: list[str]
) -> None:
    first = list_page(merchant, PAYMENTS, limit=2)
    second = list_page(merchant, PAYMENTS, limit=2, cursor=first["nextCursor"])
    third = list_page(merchant, PAYMENTS, limit=2, cursor=second["nextCursor"])
    assert [get_ids(page) for page in (first, second, third)] == [ids[:2], ids[2:4], ids[4:]]
    assert third["nextCursor"] is None
    assert list_page(merchant, PAYMENTS)["nextCursor"] is None
    payment = merchant.get(f"{PAYMENTS}/{ids[0]}").get_json()["data"]["payment"]
    assert first["items"][0] == payment


def test_default_page_has_twenty_items(merchant: MerchantClient) -> None:
    for _ in range(21):
        merchant.pay()
    assert len(list_page(merchant, PAYMENTS)["items"]) == 20
    assert len(list_page(merchant, PAYMENTS, limit=100)["items"]) == 21


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"status": "FAILED"}, [1]),
        ({"status": ["FAILED", "PENDING"]}, [1]),
        ({"status": ["FAILED", "SUCCESS"]}, [0, 1, 2, 3, 4]),
        ({"currency": "EUR"}, [0]),
        ({"currency": "JPY"}, []),
        ({"amountMin": 200, "amountMax": 400}, [1, 2, 3]),
        ({"amountMin": 400, "amountMax": 200}, []),
        ({"createdFrom": "2026-11-22T15:30:16.153Z"}, [0, 1, 2]),
        ({"createdTo": "2026-11-22T15:30:16.153Z"}, [3, 4]),
        ({"createdFrom": "2026-11-22T17:30:16.1530+02:00"}, [0, 1, 2]),
        ({"createdTo": "2026-11-22T12:00:16.153-03:30"}, [3, 4]),
        # A date is the day's start in UTC: the payments are of 2026-11-22.
        ({"createdFrom": "2026-11-22"}, [0, 1, 2, 3, 4]),
        ({"createdFrom": "2026-11-23"}, []),
        ({"createdTo": "2026-11-22"}, []),
        ({"createdTo": "2026-11-23"}, [0, 1, 2, 3, 4]),
        ({"metadata.order": "1"}, [3]),
        ({"metadata[order]": "1"}, [3]),
        ({"metadata[a.b]": "c d&e", "metadata.order": "3"}, [1]),
        ({"metadata[a.b]": "c d&e", "metadata[order]": "3"}, [1]),
        ({"metadata[a]": "c d&e"}, []),
        ({"metadata.a.b": "c d&e"}, [1, 3]),
        ({"metadata.a.b": "c d&e", "metadata.order": "3"}, [1]),
        ({"metadata.a.b": "c d&e", "metadata.order": "2"}, []),
        ({"metadata.a": "c d&e"}, []),
        ({"metadata.order": ""}, []),
        ({"metadata.a.b": "c d&e", "status": "SUCCESS", "amountMax": 250}, [3]),
    ],
)
def test_items_match_all_filters(
    merchant: MerchantClient, ids: list[str], query: dict[str, Any], places: list[int]
) -> None:
    assert get_ids(list_page(merchant, PAYMENTS, **query)) == [ids[place] for place in places]


def test_refunds_are_listed_for_all_payments_and_for_one(
    web: WebApp, merchant: MerchantClient, ids: list[str], other_merchant: MerchantClient
) -> None:
    made: list[str] = []
    for id in (ids[4], ids[4], ids[3]):
        web.clock.time += timedelta(seconds=1)
        refund_body = {"amount": 10, "metadata": {"rma": id}}
        response = merchant.post(f"{PAYMENTS}/{id}/refunds", refund_body)
        made.insert(0, response.get_json()["data"]["id"])
    assert get_ids(list_page(merchant, REFUNDS)) == made
    assert get_ids(list_page(merchant, REFUNDS, paymentId=ids[4])) == made[1:]
    assert get_ids(list_page(merchant, REFUNDS, paymentId=UNKNOWN)) == []
    assert get_ids(list_page(merchant, REFUNDS, **{"metadata.rma": ids[3]})) == made[:1]
    assert get_ids(list_page(merchant, f"{PAYMENTS}/{ids[4]}/refunds")) == made[1:]
    page = list_page(merchant, f"{PAYMENTS}/{ids[4]}/refunds", limit=1)
    rest = list_page(merchant, f"{PAYMENTS}/{ids[4]}/refunds", cursor=page["nextCursor"])
    assert get_ids(page) + get_ids(rest) == made[1:]
    assert list_page(other_merchant, REFUNDS)["items"] == []
    assert list_page(other_merchant, REFUNDS, paymentId=ids[4])["items"] == []
    assert other_merchant.get(f"{PAYMENTS}/{ids[4]}/refunds").status_code == 404


def test_accounts_and_entries_are_listed(
    web: WebApp, merchant: MerchantClient, ids: list[str]
) -> None:
    web.clock.time += timedelta(seconds=1)
    opened = merchant.post(ACCOUNTS, ACCOUNT_BODY | {"currency": "INR"}).get_json()["data"]
    accounts = list_page(merchant, ACCOUNTS)
    assert [account["currency"] for account in accounts["items"]] == ["INR", "EUR", "USD"]
    assert accounts["items"][0] == opened
    assert get_ids(list_page(merchant, ACCOUNTS, currency="INR")) == [opened["id"]]
    account = accounts["items"][2]
    entries = list_page(merchant, f"{ACCOUNTS}/{account['id']}/entries")["items"]
    assert [entry["amount"] for entry in entries] == [300, 200, 100]
    assert entries[0] == {
        "accountId": account["id"],
        "sequence": 3,
        "transactionId": entries[0]["transactionId"],
        "paymentId": ids[2],
        "refundId": None,
        "disputeId": None,
        "kind": "payment",
        "amount": 300,
        "balanceAfter": 600,
        "postedAt": "2026-11-22T15:30:18.153Z",
    }
    page = list_page(merchant, f"{ACCOUNTS}/{account['id']}/entries", limit=2)
    rest = list_page(merchant, f"{ACCOUNTS}/{account['id']}/entries", cursor=page["nextCursor"])
    assert page["items"] + rest["items"] == entries
    before = {"createdTo": "2026-11-22T15:30:18.153Z"}
    assert list_page(merchant, f"{ACCOUNTS}/{account['id']}/entries", **before)["items"] == []


def test_lists_contain_own_objects_only(
    merchant: MerchantClient, other_merchant: MerchantClient, ids: list[str]
) -> None:
    [account, *_] = get_ids(list_page(merchant, ACCOUNTS))
    others_entries = other_merchant.get(f"{ACCOUNTS}/{account}/entries")
    unknown = other_merchant.get(f"{ACCOUNTS}/{UNKNOWN}/entries")
    assert others_entries.status_code == unknown.status_code == 404
    assert others_entries.get_json()["error"] == unknown.get_json()["error"]
    assert (
        list_page(other_merchant, PAYMENTS)["items"]
        == list_page(other_merchant, ACCOUNTS)["items"]
        == []
    )
    assert list_page(other_merchant, PAYMENTS, **{"metadata.order": "1"})["items"] == []
    cursor = list_page(merchant, PAYMENTS, limit=1)["nextCursor"]
    assert get_invalid_parameters(other_merchant, PAYMENTS, f"cursor={cursor}") == ["cursor"]
    assert other_merchant.get(f"{PAYMENTS}/{ids[0]}?expand=refunds,entries").status_code == 404


def test_cursor_of_another_list_or_filter_returns_400(
    merchant: MerchantClient, ids: list[str]
) -> None:
    merchant.post(ACCOUNTS, ACCOUNT_BODY)
    cursor = list_page(merchant, PAYMENTS, limit=1, currency="USD")["nextCursor"]
    of_accounts = list_page(merchant, ACCOUNTS, limit=1)["nextCursor"]
    same = list_page(merchant, PAYMENTS, limit=3, currency="USD", cursor=cursor)
    assert get_ids(same) == ids[2:]
    [account, *_] = get_ids(list_page(merchant, ACCOUNTS, currency="USD", limit=1))
    for path, query in (
        (PAYMENTS, f"cursor={cursor}"),
        (PAYMENTS, f"cursor={cursor}&currency=EUR"),
        (PAYMENTS, f"cursor={cursor}&currency=USD&amountMin=2"),
        (PAYMENTS, f"cursor={of_accounts}"),
        (REFUNDS, f"cursor={cursor}&currency=USD"),
        (f"{PAYMENTS}/{ids[0]}/refunds", f"cursor={cursor}&currency=USD"),
        (ACCOUNTS, f"cursor={cursor}&currency=USD"),
        (f"{ACCOUNTS}/{account}/entries", f"cursor={cursor}"),
    ):
        assert get_invalid_parameters(merchant, path, query) == ["cursor"]
    again = {"createdFrom": "2026-11-22T15:30:00Z"}
    cursor = list_page(merchant, PAYMENTS, limit=2, **again)["nextCursor"]
    alike = {"createdFrom": "2026-11-22T16:30:00.000+01:00"}
    assert get_ids(list_page(merchant, PAYMENTS, cursor=cursor, **alike)) == ids[2:]


def test_altered_cursor_returns_400(merchant: MerchantClient, ids: list[str]) -> None:
    assert ids
    cursor = list_page(merchant, PAYMENTS, limit=1)["nextCursor"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, letter in enumerate(cursor):
        other = letters[(letters.index(letter) + 1) % 64]
        altered = f"{cursor[:place]}{other}{cursor[place + 1 :]}"
        assert get_invalid_parameters(merchant, PAYMENTS, f"cursor={altered}") == ["cursor"]
    for altered in (cursor[:-1], cursor + "A", cursor + "=", "A", "AAAA", "A" * 64, "A" * 65):
        assert get_invalid_parameters(merchant, PAYMENTS, f"cursor={altered}") == ["cursor"]


FAULTY = [
    *("limit=0", "limit=101", "limit=-1", "limit=+5", "limit=05", "limit=5.0", "limit=1e1"),
    *("limit=", "limit", "limit=%EF%BC%95", "limit=5%20", "limit=5%0A", "limit=true", "limit=1_0"),
    *("limit=1&limit=1", "limit=x&limit=1", "cursor=", "cursor=a%00", "cursor=%3D"),
    *("currency=usd", "currency=XXX", "currency=USD%0A", "currency=", "currency=USD,EUR"),
    *("currency=USD&currency=USD", "createdFrom=2026-11-22T15:30:13"),
    *("createdFrom=2026-11", "createdFrom=20261122", "createdFrom=2026-02-30"),
    *("createdTo=0000-01-01", "createdTo=2026-11-22Z", "createdTo=2026-11-22%0A"),
    *("createdFrom=2026-11-22T15:30:13+02:00", "createdFrom=2026-02-30T00:00:00Z"),
    *("createdFrom=2026-11-22T15:30:60Z", "createdFrom=2026-11-22T24:00:00Z"),
    *("createdFrom=0001-01-01T00:00:00%2B14:00", "createdFrom=9999-12-31T23:59:59-14:00"),
    *("createdFrom=0000-01-01T00:00:00Z", "createdTo=now", "createdTo=1732289413"),
    *("createdTo=2026-11-22t15:30:13z", "createdTo=2026-11-22T15:30:13.1234567Z"),
    *("createdTo=%EF%BC%92026-11-22T15:30:13Z", "createdTo=2026-11-22T15:30:13Z%0A"),
]
OF_WORK = [
    *("status=success", "status=", "status=SUCCESS,FAILED", "status=SUCCESS%00", "status=OPEN"),
    *("amountMin=0", "amountMin=9007199254740992", "amountMin=1.0", "amountMin=%2B1"),
    *("amountMax=-1", "amountMax=" + "9" * 300, "amountMax=1&amountMax=2", "amountMax=null"),
    *("metadata.=x", f"metadata.{'k' * 41}=x", f"metadata.k={'v' * 501}", "metadata.k=%00"),
    *("metadata.k=a&metadata.k=a", "metadata.k=%ff", "metadata.k=%ED%A0%80", "metadata.k=%zz"),
    *("metadata.k=%", "metadata=x", "metadata[]=x", "metadata[k=x", "metadatak]=x"),
    *("metadata[k]=a&metadata[k]=a", f"metadata[{'k' * 41}]=x", "metadata]k[=x"),
]


@pytest.mark.parametrize("query", FAULTY + OF_WORK)
def test_invalid_parameter_is_named(merchant: MerchantClient, query: str) -> None:
    """The last parameter, which is the invalid one."""
    paths = [PAYMENTS, REFUNDS] + ([] if query in OF_WORK else [ACCOUNTS])
    for path in paths:
        assert get_invalid_parameters(merchant, path, query) == [
            query.rsplit("&", 1)[-1].split("=")[0][:64]
        ]


@pytest.mark.parametrize("name", ["createdFrom", "createdTo"])
@pytest.mark.parametrize("path", [PAYMENTS, REFUNDS, ACCOUNTS])
def test_date_has_the_same_cursor_as_its_first_instant(
    merchant: MerchantClient, ids: list[str], path: str, name: str
) -> None:
    """A date is an instant, not a day, for either bound."""
    [payment, *_] = ids
    for _ in range(2):
        assert merchant.post(f"{PAYMENTS}/{payment}/refunds", {"amount": 1}).status_code == 202
        assert merchant.post(ACCOUNTS, ACCOUNT_BODY).status_code == 201
    day = {"createdFrom": "2026-11-22", "createdTo": "2026-11-23"}[name]
    first = list_page(merchant, path, limit=1, **{name: day})
    instant = {name: f"{day}T01:00:00+01:00"}
    assert list_page(merchant, path, cursor=first["nextCursor"], **instant)["items"]


@pytest.mark.parametrize("name", ["createdFrom", "createdTo"])
def test_plus_that_arrives_as_a_space_is_explained(merchant: MerchantClient, name: str) -> None:
    response = merchant.get(f"{PAYMENTS}?{name}=2026-11-22T15:30:13+01:00")
    message = (
        "Contains a space where an offset has its +, which a query must contain as %2B: for example"
        " 2026-11-22T15:30:13%2B01:00."
    )
    assert response.get_json()["error"]["details"] == {name: [message]}
    for text in ("now", "2026-11-22T15:30:13 +01:00", "2026-11-22 01:00"):
        response = merchant.get(f"{PAYMENTS}?{urlencode({name: text})}")
        [[message]] = response.get_json()["error"]["details"].values()
        assert message.startswith("Must be an RFC 3339 time, such as 2026-11-22T15:30:13.153Z, or")
        assert message.endswith("Encode the + of an offset as %2B.")


@pytest.mark.parametrize(
    "time", ["2026-02-30", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00%2B01:00"]
)
def test_time_that_does_not_exist_is_not_explained_by_a_space(
    merchant: MerchantClient, time: str
) -> None:
    details = merchant.get(f"{PAYMENTS}?createdFrom={time}").get_json()["error"]["details"]
    assert details["createdFrom"][0].startswith("Must be an RFC 3339 time")


@pytest.mark.parametrize("query", ["x=1", "Limit=5", "limit%20=5", "page=1", "=", "%C3%A9=1"])
@pytest.mark.parametrize("path", [PAYMENTS, REFUNDS, ACCOUNTS])
def test_unknown_parameter_returns_400(merchant: MerchantClient, path: str, query: str) -> None:
    assert len(get_invalid_parameters(merchant, path, query)) == 1


@pytest.mark.parametrize("query", ["%00=1", "%ff=1", "%zz=1", "metadata.%00=1", "metadata.%ff=x"])
def test_undecodable_parameter_name_returns_400(merchant: MerchantClient, query: str) -> None:
    assert len(get_invalid_parameters(merchant, PAYMENTS, query)) == 1


def test_filters_of_other_lists_return_400(merchant: MerchantClient, ids: list[str]) -> None:
    assert ids
    [account, *_] = get_ids(list_page(merchant, ACCOUNTS))
    assert get_invalid_parameters(merchant, ACCOUNTS, "status=SUCCESS") == ["status"]
    assert get_invalid_parameters(merchant, PAYMENTS, f"paymentId={UNKNOWN}") == ["paymentId"]
    assert get_invalid_parameters(merchant, REFUNDS, f"paymentId={UNKNOWN.upper()}x") == [
        "paymentId"
    ]
    assert get_invalid_parameters(merchant, REFUNDS, "status=AUTHORIZED") == ["status"]
    assert get_invalid_parameters(merchant, f"{ACCOUNTS}/{account}/entries", "currency=USD") == [
        "currency"
    ]


def test_all_parameter_errors_are_reported_up_to_a_limit(merchant: MerchantClient) -> None:
    assert get_invalid_parameters(merchant, PAYMENTS, "limit=0&x=1&status=y") == [
        "limit",
        "x",
        "status",
    ]
    many = "&".join(f"x{number}=1" for number in range(500))
    assert len(get_invalid_parameters(merchant, PAYMENTS, many)) == 20
    assert get_invalid_parameters(merchant, PAYMENTS, "x" * 3_000) == ["x" * 64]


def test_number_of_metadata_filters_is_limited(merchant: MerchantClient) -> None:
    pairs = "&".join(f"metadata.{number}=x" for number in range(MAX_PAIRS))
    assert merchant.get(f"{PAYMENTS}?{pairs}").status_code == 200
    assert get_invalid_parameters(merchant, PAYMENTS, f"{pairs}&metadata.more=x") == [
        "metadata.more"
    ]


def test_longest_metadata_can_be_filtered_by(merchant: MerchantClient) -> None:
    key, value = "\U0001f34f" * 40, "\U0001f34e" * 100
    id = merchant.pay(metadata={key: value}).get_json()["data"]["id"]
    assert get_ids(list_page(merchant, PAYMENTS, **{f"metadata.{key}": value})) == [id]


@pytest.mark.parametrize("query", [f"x={KEY}", f"{KEY}=x", f"metadata.k={KEY}", f"cursor={KEY}"])
def test_api_key_in_the_query_returns_400_and_is_not_echoed(
    merchant: MerchantClient, query: str
) -> None:
    for sent in (query, query.replace("sk_", "%73k_"), query.replace("_", "%5F")):
        response = merchant.get(f"{PAYMENTS}?{sent}")
        assert response.status_code == 400
        assert KEY[8:].encode() not in response.data


def test_list_of_an_invalid_or_unknown_id_returns_400_or_404(merchant: MerchantClient) -> None:
    for path in (f"{PAYMENTS}/{{}}/refunds", f"{ACCOUNTS}/{{}}/entries"):
        assert merchant.get(path.format("me")).status_code == 400
        assert merchant.get(path.format(UNKNOWN.upper().replace("0", "A"))).status_code == 400
        assert merchant.get(path.format(UNKNOWN)).status_code == 404


def test_expanded_payment_has_its_refunds_and_entries(
    web: WebApp, merchant: MerchantClient, ids: list[str]
) -> None:
    path = f"{PAYMENTS}/{ids[4]}"
    refund = merchant.post(f"{path}/refunds", {"amount": 30}).get_json()["data"]
    web.application.settlement.settle()
    plain = merchant.get(path).get_json()["data"]["payment"]
    whole = merchant.get(f"{path}?expand=refunds,entries").get_json()["data"]["payment"]
    assert whole == plain | {"refunds": whole["refunds"], "entries": whole["entries"]}
    assert [each["id"] for each in whole["refunds"]] == [refund["id"]]
    assert [entry["amount"] for entry in whole["entries"]] == [100, -30]
    assert [entry["refundId"] for entry in whole["entries"]] == [None, refund["id"]]
    one = merchant.get(f"{path}?expand=entries").get_json()["data"]["payment"]
    assert one == plain | {"entries": whole["entries"]}


@pytest.mark.parametrize(
    "expand", ["", "refunds,", ",", "all", "refunds,refunds", "Refunds", "refunds entries"]
)
def test_invalid_expand_returns_400(merchant: MerchantClient, ids: list[str], expand: str) -> None:
    query = urlencode({"expand": expand})
    assert get_invalid_parameters(merchant, f"{PAYMENTS}/{ids[0]}", query) == ["expand"]
