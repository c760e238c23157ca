"""The command line of a script, and `process`, its entry point."""
