"""From where on what long prompts need is made piece by piece, or made again, instead of held."""

SCORES = 1 << 22
"""How many attention scores are held at once; of longer prompts, those of some queries at a time."""
KEPT = 1 << 24
"""Up to how many numbers of the residual stream, all layers together, what MLPs hold inside is kept for gradients."""
