"""Which of Presidio's recognizers are used, and on which conditions.

Left out: those that fire on ordinary text (links without a scheme, dates of any kind, UUIDs, driving licences by shape
alone), and company registers. Runs of digits whose checksum many random numbers pass count only beside their context
words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from policies.pii.context import DIGIT, Context


@dataclass(frozen=True, slots=True)
class Choice:
    """One of Presidio's recognizers, and how far we trust it.

    `module` is `country.name` for Presidio's `country_specific/<country>/<name>_recognizer.py`, `clue` an expression
    that every match of its patterns holds. `without` are patterns (by the beginning of their name) that are left out;
    `score` is what a passed checksum is worth without context; `bare` says that a run of digits alone may count,
    because its checksum lets at most 2 % of random numbers pass; `edges` keeps a match from lying inside of a longer
    word; `anchor` is as in `Recognizer`.
    """

    module: str
    name: str
    clue: str = DIGIT
    context: Context | None = None
    context_only: bool = False
    without: tuple[str, ...] = ()
    score: float = 1.0
    bare: bool = False
    edges: bool = False
    anchor: str = DIGIT


PASSPORT: Final = Context.of(
    "passport", "pasaporte", "passaporto", "reisepass", "passnummer", "paszport", "travel document", "여권"
)
PLATE: Final = Context.of(
    "number plate",
    "license plate",
    "licence plate",
    "plate number",
    "vehicle registration",
    "registration number",
    "plaka",
    "kennzeichen",
    "vrn",
)
GERMAN_ID: Final = Context.of(
    "personalausweis", "ausweis", "ausweisnummer", "dokumentennummer", "identity card", "id card", "national id"
)

PRESIDIO: Final = (
    Choice(
        "generic.ip",
        "IpRecognizer",
        r"\d\.\d{1,3}\.\d{1,3}\.\d|::|[0-9a-f]:[0-9a-f]{0,4}:",
        without=("IPv6_unspecified",),
        anchor=r"\d\.\d|::|:[0-9a-fA-F]{1,4}:",
    ),
    Choice(
        "generic.mac",
        "MacAddressRecognizer",
        r"[0-9a-f]{2}[:-][0-9a-f]{2}[:-][0-9a-f]{2}[:-]|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}",
        anchor=r"[:-][0-9a-fA-F]{2}[:-]|\.[0-9a-fA-F]{4}\.",
    ),
    Choice("generic.crypto", "CryptoRecognizer", r"(?:bc1|[13])[a-z0-9]{25}"),
    Choice(
        "generic.date",
        "DateRecognizer",
        without=("mm/yy", "MMM-yyyy", "dd-MMM or"),
        context_only=True,
        context=Context.of(
            "birth",
            "birthday",
            "birthdate",
            "born",
            "dob",
            "d.o.b",
            "geburtsdatum",
            "geburtstag",
            "geboren",
            "naissance",
            "nacimiento",
            "nascita",
        ),
    ),
    # United States
    Choice(
        "us.us_ssn",
        "UsSsnRecognizer",
        r"\d{3}[- .]?\d{2}[- .]?\d{4}",
        context=Context.of("ssn", "ssns", "social security", "soc sec"),
    ),
    Choice(
        "us.us_itin",
        "UsItinRecognizer",
        r"9\d{2}[- ]?\d{2}[- ]?\d{4}",
        context=Context.of("itin", "taxpayer", "tax id", "taxid", "tin"),
    ),
    Choice(
        "us.aba_routing",
        "AbaRoutingRecognizer",
        r"[0123678]\d{3}-?\d{4}-?\d",
        context=Context.of("aba", "routing", "rtn"),
    ),
    Choice(
        "us.us_bank",
        "UsBankRecognizer",
        context_only=True,
        context=Context.of(
            "account", "acct", "bank", "checking", "savings", "konto", "kontonummer", "cuenta", "compte"
        ),
    ),
    Choice("us.us_passport", "UsPassportRecognizer", context=PASSPORT, context_only=True),
    Choice(
        "us.us_driver_license",
        "UsLicenseRecognizer",
        context_only=True,
        context=Context.of(
            "driver license",
            "drivers license",
            "driver's license",
            "driving license",
            "driver lic",
            "dl number",
            "dl no",
            "dl#",
        ),
    ),
    Choice(
        "us.medical_license",
        "MedicalLicenseRecognizer",
        r"[a-z]\d{7}",
        score=0.6,
        edges=True,
        context=Context.of("dea", "medical license", "prescriber"),
    ),
    Choice("us.us_mbi", "UsMbiRecognizer", r"\d[a-z][a-z0-9]\d-?[a-z][a-z0-9]\d-?[a-z]{2}\d{2}"),
    Choice("us.us_npi", "UsNpiRecognizer", context=Context.of("npi", "national provider"), context_only=True),
    # Canada
    Choice(
        "canada.ca_sin",
        "CaSinRecognizer",
        r"\d{3}[- ]?\d{3}[- ]?\d{3}",
        context=Context.of("sin", "social insurance", "assurance sociale", "nas"),
    ),
    Choice(
        "canada.ca_postal_code",
        "CaPostalCodeRecognizer",
        context_only=True,
        context=Context.of("postal code", "code postal", "postcode", "canada"),
    ),
    # United Kingdom
    Choice("uk.uk_nhs", "NhsRecognizer", r"\d{3}[- ]?\d{3}[- ]?\d{4}", score=0.55),
    Choice("uk.uk_nino", "UkNinoRecognizer", r"[a-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]"),
    Choice("uk.uk_driving_licence", "UkDrivingLicenceRecognizer", r"[a-z9]{5}\d{6}[a-z9]{2}[a-z0-9][a-z]{2}"),
    Choice("uk.uk_passport", "UkPassportRecognizer", context=PASSPORT, context_only=True),
    Choice(
        "uk.uk_postcode",
        "UkPostcodeRecognizer",
        context=Context.of("postcode", "post code", "postal code"),
        context_only=True,
    ),
    Choice("uk.uk_vehicle_registration", "UkVehicleRegistrationRecognizer", context=PLATE, context_only=True),
    # Germany
    Choice("germany.de_tax_id", "DeTaxIdRecognizer", r"\d{11}"),
    Choice(
        "germany.de_tax_number",
        "DeTaxNumberRecognizer",
        context_only=True,
        context=Context.of("steuernummer", "steuer-nr", "steuer nr", "st.-nr", "st-nr", "finanzamt"),
    ),
    Choice("germany.de_social_security", "DeSocialSecurityRecognizer", r"\d{8}[a-z]\d{3}"),
    Choice("germany.de_health_insurance", "DeHealthInsuranceRecognizer", context_only=True),
    Choice("germany.de_id_card", "DeIdCardRecognizer", context=GERMAN_ID, context_only=True),
    Choice("germany.de_passport", "DePassportRecognizer", context=PASSPORT, context_only=True),
    Choice(
        "germany.de_fuehrerschein",
        "DeFuehrerscheinRecognizer",
        context_only=True,
        context=Context.of(
            "fuhrerschein", "fahrerlaubnis", "driving licence", "driving license", "licence number", "license number"
        ),
    ),
    Choice(
        "germany.de_vat_id",
        "DeVatIdRecognizer",
        r"de[\s.\-]?\d{3}[\s.\-]?\d{3}[\s.\-]?\d{3}",
        context=Context.of("ust-id", "ust-idnr", "ustid", "umsatzsteuer", "vat"),
    ),
    Choice(
        "germany.de_kfz",
        "DeKfzRecognizer",
        context=Context.of("kennzeichen", "kfz", "nummernschild"),
        context_only=True,
    ),
    Choice(
        "germany.de_lanr", "DeLanrRecognizer", context=Context.of("lanr", "arztnummer", "arzt-nr"), context_only=True
    ),
    Choice(
        "germany.de_bsnr",
        "DeBsnrRecognizer",
        context=Context.of("bsnr", "betriebsstattennummer", "praxisnummer"),
        context_only=True,
    ),
    # Italy and Spain
    Choice(
        "italy.it_fiscal_code",
        "ItFiscalCodeRecognizer",
        r"[a-z]{6}[0-9l-v]{2}[a-ehlmprst][0-9l-v]{2}[a-z][0-9l-v]{3}[a-z]",
    ),
    Choice(
        "italy.it_vat_code",
        "ItVatCodeRecognizer",
        context=Context.of("partita iva", "p.iva", "p. iva", "piva", "vat"),
        context_only=True,
    ),
    Choice("italy.it_driver_license", "ItDriverLicenseRecognizer", context=Context.of("patente"), context_only=True),
    Choice(
        "italy.it_identity_card",
        "ItIdentityCardRecognizer",
        context_only=True,
        context=Context.of("carta d'identita", "carta di identita", "carta identita", "identity card"),
    ),
    Choice("italy.it_passport", "ItPassportRecognizer", context=PASSPORT, context_only=True),
    Choice("spain.es_nif", "EsNifRecognizer", r"\d{7}-?[a-z]", score=0.7),
    Choice("spain.es_nie", "EsNieRecognizer", r"\d{7}-?[a-z]", score=0.75),
    Choice("spain.es_passport", "EsPassportRecognizer", context=PASSPORT, context_only=True),
    # elsewhere in Europe
    Choice("poland.pl_pesel", "PlPeselRecognizer", r"\d{11}", score=0.6, bare=True, edges=True),
    Choice(
        "finland.fi_personal_identity_code",
        "FiPersonalIdentityCodeRecognizer",
        r"\d{6}[-+a-y]\d{3}[0-9a-y]",
        without=("Finnish Personal Identity Code (Very Weak)",),
    ),
    Choice(
        "sweden.se_personnummer",
        "SePersonnummerRecognizer",
        r"\d{6,8}[-+]?\d{4}",
        without=("Swedish Personnummer (Very Weak)",),
        score=0.7,
        context=Context.of("personnummer", "samordningsnummer", "personal identity number"),
    ),
    Choice(
        "sweden.se_organisationsnummer",
        "SeOrganisationsnummerRecognizer",
        r"\d{6}-?\d{4}",
        without=("Swedish Organisationsnummer (Weak)",),
        score=0.6,
        context=Context.of("organisationsnummer", "orgnr", "org nr"),
    ),
    Choice("turkey.tr_national_id", "TrNationalIdRecognizer", r"\d{11}", score=0.6, bare=True),
    Choice("turkey.tr_license_plate", "TrLicensePlateRecognizer", context=PLATE, context_only=True),
    # Asia, Australia, Africa
    Choice("india.in_pan", "InPanRecognizer", r"[a-z]{5}\d{4}[a-z]", without=("PAN (Low)",)),
    Choice(
        "india.in_aadhaar",
        "InAadhaarRecognizer",
        r"\d{4}[- :]?\d{4}[- :]?\d{4}",
        score=0.6,
        context=Context.of("aadhaar", "aadhar", "uidai"),
    ),
    Choice("india.in_gstin", "InGstinRecognizer", r"\d{2}[a-z0-9]{11}z[a-z0-9]"),
    Choice("india.in_voter", "InVoterRecognizer", context=Context.of("voter", "elector", "epic"), context_only=True),
    Choice("india.in_passport", "InPassportRecognizer", context=PASSPORT, context_only=True),
    Choice("india.in_vehicle_registration", "InVehicleRegistrationRecognizer", context=PLATE, context_only=True),
    Choice("singapore.sg_fin", "SgFinRecognizer", r"[a-z]\d{7}[a-z]"),
    Choice("singapore.sg_uen", "SgUenRecognizer", r"\d{8}[a-z]|[tsr]\d{2}[a-z]{2}\d{4}[a-z]", score=0.6),
    Choice(
        "korea.kr_rrn",
        "KrRrnRecognizer",
        r"\d{6}-?\d{7}",
        score=0.8,
        context=Context.of("rrn", "resident registration", "주민등록번호"),
    ),
    Choice("korea.kr_frn", "KrFrnRecognizer", r"\d{6}-?\d{7}", score=0.8),
    Choice("korea.kr_brn", "KrBrnRecognizer", context_only=True),
    Choice("korea.kr_driver_license", "KrDriverLicenseRecognizer", context_only=True),
    Choice("korea.kr_passport", "KrPassportRecognizer", context=PASSPORT, context_only=True),
    Choice(
        "thai.th_tnin",
        "ThTninRecognizer",
        r"\d{13}",
        context=Context.of("thai national id", "thai id", "tnin", "national id", "เลขประจำตัวประชาชน", "เลขบัตรประชาชน"),
    ),
    Choice("philippines.ph_umid", "PhUmidRecognizer", r"\d{4}-\d{7}-\d", without=("UMID (without",)),
    Choice(
        "philippines.ph_tin",
        "PhTinRecognizer",
        context=Context.of("tin", "taxpayer identification", "tax id"),
        context_only=True,
    ),
    Choice("philippines.ph_passport", "PhPassportRecognizer", context=PASSPORT, context_only=True),
    Choice("australia.au_abn", "AuAbnRecognizer", r"\d{2}\s?\d{3}\s?\d{3}\s?\d{3}", score=0.6, bare=True),
    Choice(
        "australia.au_acn", "AuAcnRecognizer", context=Context.of("australian company number", "acn"), context_only=True
    ),
    Choice("australia.au_tfn", "AuTfnRecognizer", context=Context.of("tax file number", "tfn"), context_only=True),
    Choice("australia.au_medicare", "AuMedicareRecognizer", r"[2-6]\d{3}\s?\d{5}\s?\d", score=0.6),
    Choice(
        "nigeria.ng_nin",
        "NgNinRecognizer",
        context_only=True,
        context=Context.of("nin", "national identification number", "national identity number", "nimc"),
    ),
    Choice("nigeria.ng_vehicle_registration", "NgVehicleRegistrationRecognizer", context=PLATE, context_only=True),
    Choice(
        "south_africa.za_id_number",
        "ZaIdNumberRecognizer",
        r"\d{13}",
        score=0.6,
        bare=True,
        context=Context.of("id number", "identity number", "rsa id", "south african id"),
    ),
    Choice("south_africa.za_passport", "ZaPassportRecognizer", context=PASSPORT, context_only=True),
)
