"""Features and neurons on a problem's prompts: how they are found by name, and which of them matter."""
