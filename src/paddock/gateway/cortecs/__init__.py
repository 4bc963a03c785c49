"""The Cortecs dialect: every deployment as an instance on priced hardware."""
