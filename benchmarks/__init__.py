"""Programs that measure Isotherm beside a reference, in one run, on the same work. Contract: `benchmarks/README.md`."""
