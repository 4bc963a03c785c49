"""Keeps the wished deployments true: starts, watches and ends engine processes."""
