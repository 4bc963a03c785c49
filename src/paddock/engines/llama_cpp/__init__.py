"""llama.cpp as an engine: how it is started, what it is fed, and how it takes each request field."""
