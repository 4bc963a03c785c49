"""What a fine-tune process runs; torch is imported nowhere else."""
