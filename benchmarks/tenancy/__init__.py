"""Benchmarks of the room `tenancy`: what scheduling costs, and how near to its promises it comes."""
