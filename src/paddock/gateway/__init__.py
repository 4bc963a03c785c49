"""HTTP: one folder a dialect, each with its routes and a pure translation."""
