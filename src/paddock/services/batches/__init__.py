"""What a batch is, and what it keeps until it is over."""
