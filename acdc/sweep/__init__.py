"""Grids of runs: tasks x models x methods x seeds, each cell kept as soon as it is done, here or on a Ray cluster."""
