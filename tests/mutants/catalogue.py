"""All mutants."""

from typing import Final

from mutants.access import ACCESS
from mutants.books import BOOKS
from mutants.door import DOOR
from mutants.lives import LIVES
from mutants.refunds import REFUNDS
from mutants.settling import SETTLING

MUTANTS: Final = {
    mutant.name: mutant for mutant in (*SETTLING, *BOOKS, *LIVES, *REFUNDS, *DOOR, *ACCESS)
}
