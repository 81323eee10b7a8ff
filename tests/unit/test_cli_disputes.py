"""`atomic disputes`, with text and JSON output."""

from atomic_core.application import Application
from atomic_core.domain.lists import DisputeFilter
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from support import build_payment
from unit.test_cli_operators import CommandRunner, application, atomic, clock

__all__ = ["application", "atomic", "clock"]
"""Fixtures that pytest finds here."""


def test_disputes_are_listed_and_shown(atomic: CommandRunner, application: Application) -> None:
    assert len(atomic.lines("disputes", "list")) == 1
    payment = build_payment(TEST_MERCHANT_ID, 5_000, source="tok_disputed")
    payment_id = application.payments.record(payment).id
    application.settlement.settle()
    application.disputes.process("sandbox")
    [dispute] = application.disputes.list(None, DisputeFilter(), None, 2).items
    heading, row = atomic.lines("disputes", "list", "--payment", str(payment_id))
    assert heading.split()[:3] == ["ID", "Payment", "Status"]
    assert row.split()[:5] == [
        *(str(dispute.id), str(payment_id), "NEEDS_RESPONSE", "50.00", "USD"),
    ]
    assert len(atomic.lines("disputes", "list", "--status", "won")) == 1
    shown = dict(
        line.split(maxsplit=1) for line in atomic.lines("disputes", "show", str(dispute.id))
    )
    assert (shown["Dispute"], shown["Status"]) == (str(dispute.id), "NEEDS_RESPONSE")


def test_list_goes_on_after_its_last_dispute(
    atomic: CommandRunner, application: Application
) -> None:
    for _ in range(3):
        payment = build_payment(TEST_MERCHANT_ID, 5_000, source="tok_disputed")
        application.payments.record(payment)
    application.settlement.settle()
    application.disputes.process("sandbox")
    newest = [row.id for row in application.disputes.list(None, DisputeFilter(), None, 3).items]

    first = atomic.json("disputes", "list", "--limit", "2")
    assert first["nextCursor"] == str(newest[1])
    rest = atomic.json("disputes", "list", "--limit", "2", "--after", first["nextCursor"])
    assert [row["id"] for row in rest["disputes"]] == [str(newest[2])]
    assert rest["nextCursor"] is None
    unknown = atomic.error_line("disputes", "list", "--after", TEST_MERCHANT_ID)
    assert "No dispute" in unknown
