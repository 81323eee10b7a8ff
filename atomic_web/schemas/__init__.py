"""What may come in, and what goes out, one file per aggregate."""
