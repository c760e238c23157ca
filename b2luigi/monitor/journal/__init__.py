"""The journal of a run: what happened to its tasks, for people and programs to see. Nothing decides by it."""
