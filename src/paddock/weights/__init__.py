"""Weights by name: where they are, how they get here, and what their small files say about them."""
