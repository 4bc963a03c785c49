"""Where engine and job processes run: this machine, or a Ray cluster."""
