"""A real system on a stateful Stripe (localstripe) under random faults and kills: at the end both
books agree to the cent, and the reconciliation says so."""
