"""Real language models end to end, as their users run them; `make test-real` gets SmolLM2 first."""
