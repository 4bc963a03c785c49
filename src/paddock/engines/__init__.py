"""The programs that run weights: their command line, readiness and parameters."""
