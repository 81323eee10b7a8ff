"""Money is a whole number of minor units (cents, paise, yen) of one ISO 4217 currency."""

from dataclasses import dataclass
from typing import Final

from atomic_core.domain.errors import ValidationFailed

MAX_AMOUNT: Final = 2**53 - 1
"""9,007,199,254,740,991: the largest integer that every JSON reader keeps exact (RFC 8259, 6)."""

# ISO 4217 active codes, by number of decimals in the minor unit. Funds codes, metals and
# test codes are left out: nobody can be paid in them.
_CODES_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD
        CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
        GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
        LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB
        PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC
        SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW
        ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: Final = {
    code: exponent for exponent, codes in _CODES_BY_EXPONENT.items() for code in codes.split()
}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that can be charged: 1 to MAX_AMOUNT minor units of a known currency.

    Raises ValidationFailed for any other amount (bool and float included) or currency.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int or not 1 <= self.amount <= MAX_AMOUNT:
            raise ValidationFailed(
                details={"amount": [f"Must be a whole number from 1 to {MAX_AMOUNT}."]}
            )
        if self.currency not in EXPONENTS:
            raise ValidationFailed(details={"currency": ["Is not an ISO 4217 currency code."]})
