"""Words of fields' names, in lower case, from which it is guessed what a field may be. They only choose who is asked about."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ID_NAMES = _words(
    "id uuid guid eventid transactionid paymentid txid transid messageid authorisationid authorizationid transnum txnid trxid "
    "transactionnumber reference"
)
"""Whole names of the event's own id."""

SUBJECT = _words(
    "card account customer client user payer sender debtor orig origin from holder cc subscriber member buyer iban wallet"
    " subject"
)
COUNTERPARTY = _words(
    "merchant terminal payee beneficiary receiver recipient creditor dest destination to shop store seller"
    " counterparty acceptor"
)
NO_PARTY = _words("type kind status brand present entry mode scheme network country city state flagged")
"""Of fields beside a subject or counterparty that do not name it."""

AMOUNT = _words("amount amt betrag montant")
NO_AMOUNT = _words("scale exponent decimals currency ccy count precision type")
SCALE = _words("scale exponent decimals precision digits")
MINOR = _words("cents cent pence minor minorunits")
REFUND = _words("refund refunded reversal reversed return returned chargeback credit void")
CURRENCY = _words("currency ccy cur")

TIME = _words(
    "time timestamp date datetime at ts epoch unix when created updated opened since expiry expires expiration occurred posted "
    "booked dob birth day"
)
PERSONAL = _words(
    "email mail phone mobile msisdn dob birth birthday birthdate ssn gender sex street firstname lastname fullname surname "
    "cardholder holder iban passport pan"
)
NAMES = _words("name first last middle full given family customer cardholder holder")
"""A field called by these words alone holds someone's name."""

NAMING = _words("id uuid token account card iban number fingerprint customer user zip postcode")
"""Of fields that name some one thing: their values are not shown."""

ID = _words("id uuid token fingerprint hash device imei session iban account number")
LABEL = _words("fraud isfraud fraudulent laundering islaundering label chargedback flagged")
LABEL_NAMES = _words("class target y isfraud txfraud")
LATITUDE, LONGITUDE = _words("lat latitude"), _words("lon lng long longitude")
SPLIT = _words("type status kind state result event test action operation op message response")
GENERIC = _words(
    "id type value name code opened status number country category token created fingerprint city state zip created_at date "
    "time kind price count"
)
"""Names that say little without the one before."""
