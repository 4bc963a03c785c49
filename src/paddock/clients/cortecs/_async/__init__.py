"""The client as it is written by hand."""
