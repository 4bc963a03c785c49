"""Routes that are no dialect: health, metrics, documentation."""
