"""What a task is: parameters, settings, outputs, paths and graphs. Independent of batch systems."""
