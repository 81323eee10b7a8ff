"""All mutants by name."""

from typing import Final

from mutants.access import ACCESS_MUTANTS
from mutants.accounts import ACCOUNT_MUTANTS
from mutants.availability import AVAILABILITY_MUTANTS
from mutants.balances import BALANCE_MUTANTS
from mutants.customer_actions import CUSTOMER_ACTION_MUTANTS
from mutants.disputes import DISPUTE_MUTANTS
from mutants.errors import ERROR_MUTANTS
from mutants.events import EVENT_MUTANTS
from mutants.failover import FAILOVER_MUTANTS
from mutants.in_doubt import IN_DOUBT_MUTANTS
from mutants.journal import JOURNAL_MUTANTS
from mutants.ledger import LEDGER_MUTANTS
from mutants.network_events import NETWORK_EVENT_MUTANTS
from mutants.networks import NETWORK_MUTANTS
from mutants.origins import ORIGIN_MUTANTS
from mutants.payments import PAYMENT_MUTANTS
from mutants.pending import PENDING_MUTANTS
from mutants.poolers import POOLER_MUTANTS
from mutants.reconciliation import RECONCILIATION_MUTANTS
from mutants.refunds import REFUND_MUTANTS
from mutants.roles import ROLE_MUTANTS
from mutants.settlement import SETTLEMENT_MUTANTS
from mutants.streams import STREAM_MUTANTS
from mutants.stripe import STRIPE_MUTANTS
from mutants.totals import TOTAL_MUTANTS
from mutants.waiting import WAITING_MUTANTS
from mutants.web import WEB_MUTANTS
from mutants.webhook_claims import WEBHOOK_CLAIM_MUTANTS
from mutants.webhook_sender import WEBHOOK_SENDER_MUTANTS
from mutants.webhooks import WEBHOOK_MUTANTS

ALL_MUTANTS: Final = (
    *SETTLEMENT_MUTANTS,
    *IN_DOUBT_MUTANTS,
    *CUSTOMER_ACTION_MUTANTS,
    *ACCOUNT_MUTANTS,
    *LEDGER_MUTANTS,
    *JOURNAL_MUTANTS,
    *PENDING_MUTANTS,
    *POOLER_MUTANTS,
    *BALANCE_MUTANTS,
    *PAYMENT_MUTANTS,
    *REFUND_MUTANTS,
    *DISPUTE_MUTANTS,
    *TOTAL_MUTANTS,
    *WEB_MUTANTS,
    *ERROR_MUTANTS,
    *ACCESS_MUTANTS,
    *ROLE_MUTANTS,
    *AVAILABILITY_MUTANTS,
    *FAILOVER_MUTANTS,
    *ORIGIN_MUTANTS,
    *STREAM_MUTANTS,
    *STRIPE_MUTANTS,
    *NETWORK_MUTANTS,
    *NETWORK_EVENT_MUTANTS,
    *RECONCILIATION_MUTANTS,
    *EVENT_MUTANTS,
    *WAITING_MUTANTS,
    *WEBHOOK_SENDER_MUTANTS,
    *WEBHOOK_MUTANTS,
    *WEBHOOK_CLAIM_MUTANTS,
)

MUTANTS: Final = {mutant.name: mutant for mutant in ALL_MUTANTS}
