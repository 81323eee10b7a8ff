"""A mistyped test token is found, and no other token is mistaken for one."""

import pytest

from atomic_adapters.networks.sandbox_tokens import TEST_TOKENS, find_meant_token
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application
from docs.test_docs import sandbox_tokens


def test_every_token_of_the_sandbox_is_known() -> None:
    assert {*sandbox_tokens(), "tok_visa", "tok_mastercard"} == TEST_TOKENS


@pytest.mark.parametrize("token", sorted(TEST_TOKENS))
def test_test_token_is_no_typing_error_and_is_found_in_any_case(token: str) -> None:
    assert find_meant_token(token) is None
    name = token.removeprefix("tok_")
    assert find_meant_token(f"tok_{name.swapcase()}") == token


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("tok_chargedeclined", "tok_chargeDeclined"),
        ("tok_chargeDeclind", "tok_chargeDeclined"),
        ("tok_chrageDeclined", "tok_chargeDeclined"),
        ("tok_chagreDecilned", "tok_chargeDeclined"),
        ("tok_chargeDeclinedInsuficientFund", "tok_chargeDeclinedInsufficientFunds"),
        ("tok_chargeDeclinedXX", "tok_chargeDeclined"),
        ("tok_chargeDeclinedXXX", None),
        ("tok_captureDeclined", None),
        ("tok_vsia", "tok_visa"),
        ("tok_viza", "tok_visa"),
        ("tok_vi", None),
        ("tok_show", "tok_slow"),
        ("tok_shop", None),
        ("tok_amex", None),
        ("tok_a", None),
        ("tok_visa1", None),
        ("tok_visa_x", None),
        ("tok_1Nd8sKq2", None),
        ("tok_lossy", None),
    ],
)
def test_token_within_two_letters_is_mistyped(source: str, meant: str | None) -> None:
    assert find_meant_token(source) == meant


def test_longest_tokens_are_compared() -> None:
    assert find_meant_token("tok_" + "a" * 60) is None


@pytest.mark.parametrize(
    ("variables", "meant"),
    [({}, "tok_visa"), ({"CARD_NETWORK": "stripe", "STRIPE_SECRET_KEY": "sk_test_1"}, None)],
)
def test_tokens_are_checked_for_the_sandbox_only(
    variables: dict[str, str], meant: str | None
) -> None:
    settings = Settings.from_environ(
        {"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused", **variables}
    )
    assert build_application(settings).payments.find_meant_source("tok_vissa") == meant
