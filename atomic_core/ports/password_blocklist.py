"""Passwords that are refused because they are common."""

from typing import Protocol


class PasswordBlocklist(Protocol):
    def contains(self, password: str) -> bool:
        """Whether the password is too common to be chosen, in any case and with any white space
        around it. Existing passwords are not checked: their owners must be able to log in."""
        ...
