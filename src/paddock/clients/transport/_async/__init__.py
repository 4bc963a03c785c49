"""The transport as it is written by hand."""
