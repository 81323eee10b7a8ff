"""`python -m atomic_worker` is `atomic`."""

from atomic_worker.cli import main

if __name__ == "__main__":
    main(prog_name="atomic")
