"""Paddock's own clients, over one transport."""
