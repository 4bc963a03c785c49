"""The batch engine: rows in, answers out, each once and in order, whatever happens meanwhile."""
