"""What people fine-tune with: the rows they send, the hyperparameters they ask for, what both come to."""
