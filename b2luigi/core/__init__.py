"""What a task is: parameters, settings, outputs, paths and graphs. Knows nothing of batch systems."""
