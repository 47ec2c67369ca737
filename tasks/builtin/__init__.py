"""The built-in behaviours, one module each; `tasks.get` loads the one that is asked for."""
