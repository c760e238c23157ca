"""The command `b2luigi`: what runs, what failed and why, from any terminal."""
