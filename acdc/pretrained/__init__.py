"""Pretrained models on this machine: converted once from GGUF files, one's own or from PyPI, and kept in a cache."""
