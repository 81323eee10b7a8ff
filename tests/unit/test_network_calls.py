"""How the claims of a batch are divided into calls of the card network."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.networks.time_limit import TimeLimitedCardNetwork
from atomic_core.domain.card_networks import NetworkResponse, NetworkState, Verdict
from atomic_core.domain.settlement import Claim
from atomic_core.use_cases.network_calls import NetworkCalls

HOUR = timedelta(hours=1)


class CountingNetwork(SandboxCardNetwork):
    def __init__(self, *, answers_claims_apart: bool) -> None:
        self.answers_claims_apart = answers_claims_apart
        self.calls: list[tuple[str, int]] = []

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.calls.append(("authorize", len(claims)))
        return super().authorize(claims)

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.calls.append(("inquire", len(claims)))
        return super().inquire(claims)


def build_claims() -> Sequence[Claim]:
    """Forty new ones, and ten in doubt after each number of responses up to five."""
    base = Claim(UUID(int=0), 1, 0, UUID(int=0), UUID(int=0), 100, "USD", "tok_visa")
    new = [base._replace(payment_id=UUID(int=number)) for number in range(40)]
    doubtful = [
        base._replace(
            payment_id=UUID(int=100 * faults + number),
            faults=faults,
            network_state=NetworkState.UNKNOWN,
            unresolved_for=timedelta(minutes=1),
        )
        for faults in range(1, 6)
        for number in range(10)
    ]
    return [*doubtful, *new]


@pytest.mark.parametrize("is_limited", [True, False])
def test_network_that_answers_claims_apart_is_called_once_per_method(is_limited: bool) -> None:
    network = CountingNetwork(answers_claims_apart=True)
    limited = TimeLimitedCardNetwork(network, HOUR) if is_limited else network
    claims = build_claims()
    called = NetworkCalls(limited, HOUR).call(claims)
    assert [claim for claim, _ in called] == claims
    assert {response.verdict for _, response in called if response} == {Verdict.APPROVED}
    # In doubt after three or five responses: asked. After one, two or four: repeated.
    assert network.calls == [("authorize", 70), ("inquire", 20)]


def test_other_networks_are_called_for_fewer_claims_the_longer_they_are_in_doubt() -> None:
    network = CountingNetwork(answers_claims_apart=False)
    NetworkCalls(network, HOUR).call(build_claims())
    new, *doubtful = network.calls
    assert new == ("authorize", 40)
    sizes = [size for _, size in doubtful]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 10
    assert sizes[-1] == 1
