"""Webhooks: who is told what, signed, and tried again until it is there."""
