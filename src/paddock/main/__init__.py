"""The composition root: builds the gateway and the control side, runs them, and ends them in order."""
