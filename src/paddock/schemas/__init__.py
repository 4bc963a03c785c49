"""Wire types, shared by server and clients: one module a dialect."""
