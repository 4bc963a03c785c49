"""The transport without `await`: generated, see `tools/unasync.py`."""
