"""`process`, the entry point of a script, and the script's command line."""
