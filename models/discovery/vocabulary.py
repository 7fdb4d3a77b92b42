"""Words of fields' names, in lower case and without accents, from which it is guessed what a field may be.

English, then German, French, Spanish and Italian. They only choose who is asked about.
"""


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
    " konto karte kunde kundin zahler auftraggeber kontonummer kundennummer kartennummer carte compte titulaire"
    " payeur debiteur tarjeta cuenta cliente titular pagador carta conto pagatore"
)
COUNTERPARTY = _words(
    "merchant terminal payee beneficiary receiver recipient creditor dest destination to shop store seller"
    " counterparty acceptor"
    " empfanger handler begunstigter haendler commercant marchand beneficiaire destinataire crediteur"
    " comercio comerciante beneficiario destinatario esercente"
)
NO_PARTY = _words("type kind status brand present entry mode scheme network country city state flagged")
"""Of fields beside a subject or counterparty that do not name it."""

AMOUNT = _words("amount amt betrag montant importe monto importo")
NO_AMOUNT = _words("scale exponent decimals currency ccy count precision type wahrung devise moneda divisa valuta")
SCALE = _words("scale exponent decimals precision digits")
MINOR = _words("cents cent pence minor minorunits centimes centimos centesimi")
REFUND = _words(
    "refund refunded reversal reversed return returned chargeback credit void"
    " erstattung storno ruckbuchung gutschrift remboursement avoir reembolso devolucion rimborso"
)
CURRENCY = _words("currency ccy cur wahrung devise moneda divisa valuta")

TIME = _words(
    "time timestamp date datetime at ts epoch unix when created updated opened since expiry expires expiration occurred posted "
    "booked dob birth day"
    " datum zeit uhrzeit zeitpunkt zeitstempel buchungsdatum heure horodatage fecha hora ora"
)
PERSONAL = _words(
    "email mail phone mobile msisdn dob birth birthday birthdate ssn gender sex street firstname lastname fullname surname "
    "cardholder holder iban passport pan"
    " vorname nachname geburtsdatum geburtstag geschlecht telefon prenom naissance telephone nacimiento telefono apellido"
    " cognome"
)
NAMES = _words("name first last middle full given family customer cardholder holder")
"""A field called by these words alone holds someone's name."""

NAMING = _words("id uuid token account card iban number fingerprint customer user zip postcode")
"""Of fields that name some one thing: their values are not shown."""

ID = _words("id uuid token fingerprint hash device imei session iban account number")
LABEL = _words(
    "fraud isfraud fraudulent laundering islaundering label chargedback flagged betrug istbetrug fraude frode"
)
LABEL_NAMES = _words("class target y isfraud txfraud")
LATITUDE, LONGITUDE = _words("lat latitude"), _words("lon lng long longitude")
SPLIT = _words("type status kind state result event test action operation op message response")
GENERIC = _words(
    "id type value name code opened status number country category token created fingerprint city state zip created_at date "
    "time kind price count"
)
"""Names that say little without the one before."""
