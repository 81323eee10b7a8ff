"""Schemas of request and response bodies, one file per aggregate."""
