"""Measurements of Paddock beside a reference in the same run; see README.md."""
