"""Everything on a GPU gives what it gives on the CPU, which the other tests hold against independent oracles."""
