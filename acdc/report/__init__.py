"""Reports: what was found, in a form that a person wants to read."""
