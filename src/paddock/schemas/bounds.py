"""How large numbers may be that have no other limit."""

INT32 = 2**31 - 1
"""Larger numbers of tokens wrap around in engines, unnoticed, and much larger ones no database takes."""
