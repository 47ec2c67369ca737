"""The edge cases of the built-in behaviours, one module each; a behaviour's `task()` loads its own."""
