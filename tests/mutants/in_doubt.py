"""Mutants of steps in doubt: silence, reversals, inquiries, leases, operators' decisions."""

from typing import Final

from mutants.mutant import Edit, Mutant

SETTLEMENT_PY: Final = "atomic_core/domain/settlement.py"
CALLS_PY: Final = "atomic_core/use_cases/network_calls.py"

NETWORK_FAULTS_TEST: Final = "tests/contract/test_network_faults.py"
IN_DOUBT_TEST: Final = "tests/contract/test_in_doubt.py"

IN_DOUBT_MUTANTS: Final = (
    Mutant(
        "silence-counted",
        "no number of calls without an answer ends a payment",
        (
            Edit(
                SETTLEMENT_PY,
                "        case Verdict.UNKNOWN | Verdict.REQUIRES_ACTION:\n",
                "        case Verdict.UNKNOWN if claim.faults >= 5:\n"
                '            return _end_claim(claim, Status.FAILED, "processing_error")\n'
                "        case Verdict.UNKNOWN | Verdict.REQUIRES_ACTION:\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "doubt-reported-again",
        "a doubt has one event in the stream",
        (
            Edit(
                "atomic_adapters/postgres/payments.sql",
                "                                THEN payments.doubt_reported_at\n",
                "                                THEN NULL\n",
            ),
        ),
        (IN_DOUBT_TEST,),
    ),
    Mutant(
        "doubt-of-unsent-request",
        "a doubt begins with the request that got no answer",
        (
            Edit(
                "atomic_adapters/postgres/payments.sql",
                "                                    AND payments.network_state = 'not_sent'\n",
                "                                    AND payments.network_state = 'none'\n",
            ),
        ),
        (IN_DOUBT_TEST,),
    ),
    Mutant(
        "attempt-without-answer-in-stream",
        "an attempt without an answer is of the timeline only",
        (
            Edit(
                "atomic_core/domain/events.py",
                "        return event.attempt is None\n",
                "        return True\n",
            ),
        ),
        (IN_DOUBT_TEST,),
    ),
    Mutant(
        "doubt-forgotten-when-unreachable",
        "that a request was not sent says nothing about the one before it",
        (
            Edit(
                SETTLEMENT_PY,
                "    if claim.may_be_processed:\n        # That",
                "    if False:\n        # That",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "interrupted-claim-not-in-doubt",
        "a claim that ended without a settlement may have called the network",
        (
            Edit(
                "atomic_adapters/postgres/fragments/open_step_columns.sql",
                "     ELSE 'unknown'\n",
                "     ELSE {table}.network_state\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "retry-drops-lease",
        "an operator's retry keeps the doubt of an interrupted claim",
        (
            Edit(
                "atomic_adapters/postgres/payments.sql",
                "       leased_until = CASE WHEN leased_until IS NOT NULL"
                " THEN least(leased_until, now()) END\n",
                "       leased_until = NULL\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "network-never-inquired",
        "a request whose answer is always lost is asked about",
        (
            Edit(
                SETTLEMENT_PY,
                "(has_key_expired or (is_in_doubt and is_asked_next))\n",
                "has_key_expired and is_in_doubt\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "key-memory-ignored",
        "a request is not repeated when the network may have forgotten its key",
        (
            Edit(
                SETTLEMENT_PY,
                "self.unresolved_for >= KEY_MEMORY\n",
                "self.unresolved_for > 10 * KEY_MEMORY\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "refused-payment-not-reversed",
        "what the network approved and the ledger refuses is reversed before the payment fails",
        (
            Edit(
                SETTLEMENT_PY,
                "    if claim.refund_id:\n"
                "        return _end_claim(claim, Status.FAILED, refusal.value)\n",
                "    if claim.refund_id or refusal:\n"
                "        return _end_claim(claim, Status.FAILED, refusal.value)\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "declined-capture-not-reversed",
        "a declined capture releases the authorization at the network before it fails",
        (
            Edit(
                SETTLEMENT_PY,
                "    if claim.step == Step.CAPTURE:\n        # The",
                "    if False:\n        # The",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "refused-void-canceled",
        "a void that the network does not confirm is not a cancellation",
        (
            Edit(
                SETTLEMENT_PY,
                "        return _keep_open(claim, NetworkState.REFUSED)\n",
                "        return _end_claim(claim, Status.CANCELED, None)\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "failed-call-not-isolated",
        "a claim on which calls raise leaves the others of its batch alone",
        (
            Edit(
                CALLS_PY,
                "        if len(claims) == 1 or self._is_exhausted():\n",
                "        if claims:\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "posted-in-order-of-calls",
        "payments are posted in the order in which they were due",
        (
            Edit(
                CALLS_PY,
                "        return [(claim, responses[claim.id]) for claim in claims]\n",
                "        by_id = {claim.id: claim for claim in claims}\n"
                "        return [(by_id[id], response) for id, response in responses.items()]\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "lease-not-renewed",
        "a worker keeps its claims while it waits for the network",
        (
            Edit(
                "atomic_core/use_cases/lease_renewal.py",
                "                self.renew(claims)\n",
                "                pass\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "call-without-time-out",
        "a call that hangs is given up",
        (
            Edit(
                "atomic_adapters/networks/time_limit.py",
                "            return future.result(self.timeout.total_seconds())\n",
                "            return future.result()\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "back-off-does-not-grow",
        "pauses between calls double up to five minutes",
        (
            Edit(
                "atomic_core/domain/card_networks.py",
                "    return min(BACK_OFF_BASE * 2 ** min(faults, 16), MAX_BACK_OFF)\n",
                "    return BACK_OFF_BASE\n",
            ),
        ),
        (NETWORK_FAULTS_TEST,),
    ),
    Mutant(
        "decision-not-audited",
        "an operator's decision is recorded in the audit log",
        (
            Edit(
                "atomic_core/use_cases/in_doubt.py",
                "            self._record(work, claim, resolution)\n",
                "",
            ),
        ),
        (IN_DOUBT_TEST,),
    ),
    Mutant(
        "retry-not-audited",
        "an operator's retry is recorded in the audit log",
        (
            Edit(
                "atomic_core/use_cases/admin_queries.py",
                "            work.audit_log.add(self._build_event(before, origin))\n",
                "",
            ),
        ),
        ("tests/contract/test_operator_audit.py",),
    ),
    Mutant(
        "terms-before-not-kept",
        "the audit log keeps the fees before a change",
        (
            Edit(
                "atomic_core/use_cases/fees.py",
                'terms_by_currency.get(currency, FeeTerms()), "previous"',
                'terms, "previous"',
            ),
        ),
        ("tests/contract/test_operator_audit.py",),
    ),
    Mutant(
        "open-step-not-reported",
        "a step that stays open is reported",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "        overdue = [step for step in steps if step.unresolved_since <= latest]\n",
                "        overdue = [step for step in steps if step.unresolved_since < latest]\n",
            ),
        ),
        ("tests/unit/test_sweeper.py",),
    ),
)
