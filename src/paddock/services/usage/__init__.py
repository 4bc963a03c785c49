"""What was used and what it costs: written to the ledger, and asked of it."""
