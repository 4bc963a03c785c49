"""Product verbs: deployments, models, files, jobs, keys, usage, hardware."""
