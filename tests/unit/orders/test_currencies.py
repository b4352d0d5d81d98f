"""Which currencies are money on which day, whatever the library's table of today has."""

from datetime import date, timedelta

import pytest

from orders import CreateOrder, RejectionCode
from orders.currencies import WITHDRAWN, NotMoney, minor_unit
from unit.orders.order_scenarios import given

# What ISO 4217 had on 2026-01-01, with decimals. Never changed: what a day's orders were sold in stays so.
OF_2026 = """
AED2 AFN2 ALL2 AMD2 AOA2 ARS2 AUD2 AWG2 AZN2 BAM2 BBD2 BDT2 BHD3 BIF0 BMD2 BND2 BOB2 BOV2 BRL2 BSD2
BTN2 BWP2 BYN2 BZD2 CAD2 CDF2 CHE2 CHF2 CHW2 CLF4 CLP0 CNY2 COP2 COU2 CRC2 CUP2 CVE2 CZK2 DJF0 DKK2
DOP2 DZD2 EGP2 ERN2 ETB2 EUR2 FJD2 FKP2 GBP2 GEL2 GHS2 GIP2 GMD2 GNF0 GTQ2 GYD2 HKD2 HNL2 HTG2 HUF2
IDR2 ILS2 INR2 IQD3 IRR2 ISK0 JMD2 JOD3 JPY0 KES2 KGS2 KHR2 KMF0 KPW2 KRW0 KWD3 KYD2 KZT2 LAK2 LBP2
LKR2 LRD2 LSL2 LYD3 MAD2 MDL2 MGA2 MKD2 MMK2 MNT2 MOP2 MRU2 MUR2 MVR2 MWK2 MXN2 MXV2 MYR2 MZN2 NAD2
NGN2 NIO2 NOK2 NPR2 NZD2 OMR3 PAB2 PEN2 PGK2 PHP2 PKR2 PLN2 PYG0 QAR2 RON2 RSD2 RUB2 RWF0 SAR2 SBD2
SCR2 SDG2 SEK2 SGD2 SHP2 SLE2 SOS2 SRD2 SSP2 STN2 SVC2 SYP2 SZL2 THB2 TJS2 TMT2 TND3 TOP2 TRY2 TTD2
TWD2 TZS2 UAH2 UGX0 USD2 USN2 UYI0 UYU2 UYW4 UZS2 VED2 VES2 VND0 VUV0 WST2 XAD2 XAF0 XCD2 XCG2 XOF0
XPF0 YER2 ZAR2 ZMW2 ZWG2
"""


@pytest.mark.parametrize("entry", OF_2026.split())
def test_an_upgrade_of_the_library_changes_no_day_that_was(entry: str) -> None:
    """A currency of 2026 stays money for 2026, with its decimals: what leaves the library joins WITHDRAWN."""
    assert minor_unit(entry[:3], date(2026, 1, 1)) == int(entry[3:])


@pytest.mark.parametrize("code", sorted(WITHDRAWN))
def test_a_withdrawn_currency_is_money_until_its_last_day(code: str) -> None:
    """On its last day a currency is money; from the next on it isn't, and the refusal says until when."""
    decimals, last_day = WITHDRAWN[code]
    assert minor_unit(code, last_day) == decimals
    with pytest.raises(NotMoney, match=f"{code} was withdrawn: it was money until {last_day}"):
        minor_unit(code, last_day + timedelta(days=1))


@pytest.mark.parametrize("day", ["2025-12-31", None])
def test_orders_of_old_days_keep_their_currency(day: str | None) -> None:
    """A sale of 2025 in leva that comes late is taken, by its business day; one of 2026 is refused."""
    outcome = given().when(CreateOrder(cashier_id="5", currency="BGN", business_day=day))
    if day is None:
        assert "2025-12-31" in outcome.then_rejected(RejectionCode.UNKNOWN_CURRENCY)
    else:
        assert outcome.after.minor_unit == 2
