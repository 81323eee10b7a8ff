"""Mutants of error codes and of mistyped test tokens."""

from typing import Final

from mutants.mutant import Edit, Mutant

CODES_TEST: Final = "tests/web/test_error_codes.py"
TOKENS_TEST: Final = "tests/unit/test_sandbox_tokens.py"

ERROR_MUTANTS: Final = (
    Mutant(
        "refund-error-without-numbers",
        "an error of an amount has the amount that is possible as a number",
        (
            Edit(
                "atomic_core/use_cases/refunds.py",
                '"remaining": refundable,\n',
                "\n",
            ),
        ),
        (CODES_TEST,),
    ),
    Mutant(
        "missing-key-called-malformed",
        "a missing API key and a malformed one have codes of their own",
        (
            Edit(
                "atomic_web/access/authentication.py",
                "raise ApiKeyMalformed if _has_authorization() else ApiKeyMissing",
                "raise ApiKeyMalformed",
            ),
        ),
        (CODES_TEST,),
    ),
    Mutant(
        "first-fault-not-in-message",
        "the message of an invalid request has its first fault",
        (
            Edit(
                "atomic_core/domain/errors.py",
                "_describe_first_fault(details) if details else None",
                "None",
            ),
        ),
        (CODES_TEST,),
    ),
    Mutant(
        "setting-named-in-production",
        "a 429 names the setting of its limit outside of production only",
        (
            Edit(
                "atomic_web/access/rate_limiting.py",
                "    if not is_production:\n        facts",
                "    if is_production:\n        facts",
            ),
        ),
        (CODES_TEST,),
    ),
    Mutant(
        "mistyped-token-accepted",
        "a mistyped test token is refused",
        (
            Edit(
                "atomic_web/payment_requests.py",
                "if meant_token is not None:",
                "if meant_token is None and False:",
            ),
        ),
        (CODES_TEST,),
    ),
    Mutant(
        "two-letters-of-a-short-name",
        "in a short name two other letters are another name",
        (
            Edit(
                "atomic_adapters/networks/sandbox_tokens.py",
                "LETTERS_PER_CHANGE: Final = 4",
                "LETTERS_PER_CHANGE: Final = 1",
            ),
        ),
        (TOKENS_TEST,),
    ),
    Mutant(
        "development-limits-over-settings",
        "a rate limit that is set is kept",
        (
            Edit(
                "atomic_worker/dev/rate_limits.py",
                "for name, value in DEVELOPMENT_LIMITS.items() if not environ.get(name)}",
                "for name, value in DEVELOPMENT_LIMITS.items()}",
            ),
        ),
        ("tests/unit/test_dev_rate_limits.py",),
    ),
)
