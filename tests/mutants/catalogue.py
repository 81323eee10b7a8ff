"""All mutants."""

from typing import Final

from mutants.access import ACCESS
from mutants.ledger import BOOKS
from mutants.payments import LIVES
from mutants.refunds import REFUNDS
from mutants.settling import SETTLING
from mutants.web import DOOR

MUTANTS: Final = {
    mutant.name: mutant for mutant in (*SETTLING, *BOOKS, *LIVES, *REFUNDS, *DOOR, *ACCESS)
}
