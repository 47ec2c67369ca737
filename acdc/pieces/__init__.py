"""Independent pieces of work, such as repeated discoveries: made here, or on a Ray cluster, with the same results."""
