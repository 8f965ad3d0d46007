"""Reads prices as feeds write them: `19.99 USD`, `USD 1,299.00`, `1.299,00 EUR`, `£5`.

Currencies are those of ISO 4217. A point alone is always the decimal point; a comma alone is one
where one or two digits follow, and parts thousands where three do. Does not know which dollar `$`
or which crown `kr` means: for these the source's own currency counts.
"""

from typing import TYPE_CHECKING, Any

from shopkeeper.data.sources import _files
from shopkeeper.schema import EXPONENTS

if TYPE_CHECKING:
    import ibis

_CODES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD
    CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
    KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN
    NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND
    VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
CODES = frozenset(_CODES.split())
"""Currencies that a price may name, by ISO 4217."""

SYMBOLS = {"€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₺": "TRY", "₫": "VND", "zł": "PLN"}
"""Signs that mean one currency in feeds."""

_NUMBER = r"^[^\d-]{0,4}(-?\d[\d.,\s'\x{2019}\x{a0}\x{202f}]*)[^\d]{0,4}$"
_GAPS = r"[\s'\x{2019}\x{a0}\x{202f}]"


def known(currency: str) -> str:
    """Return `currency` if it is empty or a code of ISO 4217, or raise ValueError."""
    if currency and currency not in CODES:
        raise ValueError(f"currency must be a code such as USD, but is '{currency}'")
    return currency


def digits(text: Any) -> "ibis.expr.types.StringValue":
    """Return the figures of a price with their points and commas; empty where there are none."""
    return text.re_extract(_NUMBER, 1).re_replace(_GAPS, "")


def number(figures: Any) -> "ibis.expr.types.FloatingValue":
    """Read what `digits` found, or null where it is no number."""
    import ibis

    american = figures.re_search(r"^-?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?$")
    european = figures.re_search(r"^-?\d{1,3}((\.\d{3})+,\d*|(\.\d{3}){2,})$")
    comma = figures.re_search(r"^-?\d+,\d{1,2}$")
    pointed = ibis.cases(
        (american, figures.replace(",", "")),
        (european | comma, figures.replace(".", "").replace(",", ".")),
        else_=figures,
    )
    return _files.as_float(pointed)


def code(text: Any, default: Any) -> "ibis.expr.types.StringValue":
    """Return the currency that a price names, or `default` where it names none."""
    import ibis

    letters = text.upper().re_extract(r"(?:^|[^A-Z])([A-Z]{3})(?:[^A-Z]|$)", 1)
    signs = [(text.contains(sign), meant) for sign, meant in SYMBOLS.items()]
    return ibis.cases((letters.isin(sorted(CODES)), letters), *signs, else_=default)


def factor(currency: Any) -> "ibis.expr.types.IntegerValue":
    """Return how many minor units one of each currency has; null where there is none."""
    import ibis

    kinds = [
        (currency.isin([name for name, digits in EXPONENTS.items() if digits == exponent]), units)
        for exponent, units in ((0, 1), (3, 1000))
    ]
    return ibis.cases((currency.isnull(), ibis.null("int64")), *kinds, else_=100)
