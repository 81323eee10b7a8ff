"""`make mutants`: changes the code in one way at a time and checks that the tests fail: tests that
never failed prove nothing. Not part of `make test`."""
