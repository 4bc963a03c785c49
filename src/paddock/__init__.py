"""Paddock keeps language models: it hosts, serves, fine-tunes and batches them."""

__version__ = "0.1.0"
