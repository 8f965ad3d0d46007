"""Reads one field of untrusted JSON, or names it in a BadRequest.

Knows nothing of events: text, whole numbers, decimal amounts and moments only.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from shopkeeper.errors import BadRequest
from shopkeeper.schema import EXPONENTS

TEXT_CHARS_MAX = 200
WHOLE_MAX = 1_000_000
AMOUNT_MAX = Decimal(10) ** 12
YEAR_MIN = 1990


def text(
    holder: Mapping[str, Any], field: str, at: str, chars_max: int = TEXT_CHARS_MAX
) -> str | None:
    """Return a text without blanks around it, None where it lacks or is empty.

    Args:
        holder: The JSON object.
        field: Its key; whole numbers are taken as text, since shops have numeric ids.
        at: What stands before the field in an error.
        chars_max: Most characters.

    Returns:
        The text.

    Raises:
        BadRequest: Not a text, too long, or not Unicode.
    """
    value = holder.get(field)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)
    if not isinstance(value, str):
        raise BadRequest(f"{at}.{field}", f"{field} must be a text.")
    value = value.strip()
    if len(value) > chars_max:
        raise BadRequest(
            f"{at}.{field}",
            f"{field} has {len(value):,} characters, but at most {chars_max} are allowed.",
        )
    if "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise BadRequest(f"{at}.{field}", f"{field} holds a sign that is not valid Unicode text.")
    return value or None


def whole(holder: Mapping[str, Any], field: str, at: str, least: int) -> int | None:
    """Return a whole number from `least` to a million, None where it lacks.

    Args:
        holder: The JSON object.
        field: Its key.
        at: What stands before the field in an error.
        least: Smallest number allowed.

    Returns:
        The number.

    Raises:
        BadRequest: Not a number, not whole, or out of range.
    """
    amount = decimal(holder, field, at, signed=True)
    if amount is None:
        return None
    if amount != amount.to_integral_value() or not least <= amount <= WHOLE_MAX:
        raise BadRequest(
            f"{at}.{field}",
            f"{field} must be a whole number from {least} to {WHOLE_MAX:,}, but is {amount:.12g}.",
        )
    return int(amount)


def decimal(
    holder: Mapping[str, Any], field: str, at: str, *, signed: bool = False
) -> Decimal | None:
    """Return a finite amount, None where it lacks.

    Args:
        holder: The JSON object.
        field: Its key; a number or a text such as "12.50".
        at: What stands before the field in an error.
        signed: Let numbers below zero pass.

    Returns:
        The amount, at most 10^12 either way.

    Raises:
        BadRequest: Not a number, NaN, infinite, negative, or absurdly large.
    """
    value = holder.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRequest(f"{at}.{field}", f"{field} must be a number.")
    try:
        amount = Decimal(str(value).strip()[:60])
    except (InvalidOperation, ValueError) as error:
        raise BadRequest(f"{at}.{field}", f"{field} must be a number.") from error
    if not amount.is_finite():
        raise BadRequest(f"{at}.{field}", f"{field} must be a finite number, but is {amount}.")
    if abs(amount) > AMOUNT_MAX or (amount < 0 and not signed):
        raise BadRequest(
            f"{at}.{field}", f"{field} must be from 0 to {AMOUNT_MAX:,}, but is {amount:.12g}."
        )
    return amount


def minor(amount: Decimal, currency: str, field: str) -> int:
    """Return a decimal amount in the smallest unit of its currency.

    Args:
        amount: Such as 12.50, at least 0.
        currency: ISO 4217 code in capitals.
        field: What an error names.

    Returns:
        Pence, cents, yen.

    Raises:
        BadRequest: The amount does not fit into the table.
    """
    units = amount.scaleb(EXPONENTS.get(currency, 2)).to_integral_value(ROUND_HALF_EVEN)
    if units > AMOUNT_MAX:
        raise BadRequest(field, f"{amount:.12g} {currency} is too large to be a price.")
    return int(units)


def moment(value: Any, field: str) -> datetime:
    """Return a moment in UTC from ISO 8601, or from an epoch in milliseconds or microseconds.

    Args:
        value: A text, read as UTC where it has no offset, or a number.
        field: What an error names.

    Returns:
        An aware datetime from 1990 on.

    Raises:
        BadRequest: Not a moment, or before 1990.
    """
    advice = "Write ISO 8601 such as 2026-01-31T12:00:00Z, or milliseconds since 1970."
    try:
        if isinstance(value, str) and not value.strip().isdigit():
            time = datetime.fromisoformat(value.strip())
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        else:
            # A truth value is an int to Python, but no moment.
            number = int(value if not isinstance(value, bool) else "")
            micros = number if number >= 10**14 else number * 1000
            time = datetime.fromtimestamp(micros / 1_000_000, UTC)
    except (ValueError, OverflowError, TypeError, OSError) as error:
        raise BadRequest(field, f"This is not a time. {advice}") from error
    if time.year < YEAR_MIN:
        raise BadRequest(field, f"The time lies in {time.year}, before {YEAR_MIN}. {advice}")
    return time
