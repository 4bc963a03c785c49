"""Brings what is to be told to webhooks and callbacks."""
