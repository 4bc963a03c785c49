"""What a request is once its dialect is taken off: routing, relaying, counting."""
