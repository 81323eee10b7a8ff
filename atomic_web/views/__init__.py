"""The endpoints, one file per aggregate."""
