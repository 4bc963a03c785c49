"""The OpenAI and Fireworks dialect: one API, two sets of answer shapes."""
