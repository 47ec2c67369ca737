"""Behaviours: what a model is asked to do, with prompts and metrics; everything is loaded when first used."""
