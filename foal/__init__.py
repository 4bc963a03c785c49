"""The project's own tiny language model: its world, its corpus, its training and its evaluation."""
