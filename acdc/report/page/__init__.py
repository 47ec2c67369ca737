"""The interactive page of a run: one HTML file with everything that its folder knows, opened from disk."""
