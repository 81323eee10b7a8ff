"""The positive control of the tests: the code is broken on purpose, one way at a time, and the
tests must notice. `python tests/mutants`, not part of `make test`."""
