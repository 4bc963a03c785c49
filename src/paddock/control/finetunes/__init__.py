"""Fine-tunes: jobs that a process of their own learns at, and what comes of them."""
