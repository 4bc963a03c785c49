"""Writing GGUF files from Hugging Face checkpoints, without torch and never the whole model in memory."""
