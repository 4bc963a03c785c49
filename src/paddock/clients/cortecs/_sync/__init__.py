"""The client without `await`: generated, see `tools/unasync.py`."""
