# Every target makes and fills .venv by itself (tools/venv); Python 3.11 or newer with venv and pip is all that is needed.
#
#   make demo  [KEEP=1]              the main job, on real documents, with two crashes; KEEP=1 leaves it running
#   make test  [ARGS="-k feed -x"]   all tests, three at a time (ARGS="-n 0": one)
#   make check                       format, lint, types, imports, architecture
#   make bench ROOM=s3 [QUICK=1]     a room's benchmarks: benchmarks/results/<room>.json and FIGURE lines
#   make wheel                       dist/: a wheel whose hot path is compiled
#   make compiled                    the tests of what is compiled, against such a wheel
#   make torture [ARGS=…]            the long fault runs
#   make compat S3_TESTS=<checkout>  Ceph's s3-tests, from a checkout of yours, against a server started for it
#
# PYTHON=/path/to/python3.11 chooses the interpreter that .venv is made with.

MAKEFLAGS += --no-print-directory
export PYTHON
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench wheel compiled torture compat

help:
	@sed -n 's/^#   //p' Makefile

demo:
	@tools/venv demo
	@$(BIN)/python -m demo $(if $(KEEP),--keep)

test:
	@tools/venv dev
	@$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

check:
	@tools/venv dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/architecture

bench:
	@test -n "$(ROOM)" || { echo "Which room? make bench ROOM=s3, or ROOM=tenancy"; exit 2; }
	@tools/compiled
	@.compiled/venv/bin/python -m benchmarks $(ROOM) $(if $(QUICK),--quick)

wheel:
	@tools/compiled
	@mkdir -p dist && cp .compiled/*.whl dist/ && ls dist/*.whl

compiled:
	@tools/compiled
	@.compiled/venv/bin/python -m pytest -n 3 --dist loadfile -p no:cacheprovider tests/s3 tests/objects tests/segments tests/meta tests/conformance $(ARGS)

torture:
	@tools/venv dev
	@$(BIN)/python -m pytest -m torture --timeout=0 -rA $(ARGS)

compat:
	@test -d "$(S3_TESTS)" || { echo "Where are Ceph's s3-tests? make compat S3_TESTS=<checkout of ceph/s3-tests>"; exit 2; }
	@tools/venv dev
	@$(BIN)/python -m tests.compat $(S3_TESTS) $(ARGS)
