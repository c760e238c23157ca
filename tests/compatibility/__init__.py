"""The published b2luigi beside ours: task ids, paths and outputs of scripts as users write them."""
