"""The LLM Engine dialect: model endpoints as a view of deployments, and completions from them."""
