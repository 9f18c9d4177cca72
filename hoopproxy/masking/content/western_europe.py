"""The table of numbers of people in Western Europe, by python-stdnum where it knows them. Knows no text."""

from stdnum.at import vnr
from stdnum.ch import ssn as ahv
from stdnum.de import idnr, stnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs, utr
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pt import nif

from hoopproxy.masking.content import births, checks
from hoopproxy.masking.content.checks import by
from hoopproxy.masking.content.entity import Certainty, Entity
from hoopproxy.masking.content.signs import D9, D10, D11, NATIONAL, TAX

WESTERN_EUROPE = (
    Entity(
        "uk-nino",
        "United Kingdom: national insurance",
        "its form, and no prefix that is not given out",
        "AB 12 34 56 C",
        strong=(r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d{2} \d{2} \d{2} [A-D]\b",),
        weak=(r"\b[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-z][A-CEGHJ-NPR-TW-Za-ceghj-npr-tw-z] ?\d{6} ?[A-Da-d]\b",),
        words=("nino", "national insurance", "ni number", "ni no", "insurance number"),
        check=checks.nino,
        certainty=Certainty.STRUCTURE,
        digits=6,
    ),
    Entity(
        "uk-nhs",
        "United Kingdom: health service",
        "check digit, mod 11",
        "943 476 5870",
        weak=(D10, r"\b\d{3}[ -]\d{3}[ -]\d{4}\b"),
        words=("nhs", "health service", "patient"),
        check=by(nhs),
        digits=10,
    ),
    Entity(
        "uk-utr",
        "United Kingdom: taxpayer",
        "check digit",
        "1955839661",
        weak=(D10,),
        words=("utr", "unique taxpayer", *TAX),
        check=by(utr),
        digits=10,
    ),
    Entity(
        "ie-pps",
        "Ireland: public services",
        "check letter",
        "6433435F",
        weak=(r"\b\d{7}[A-W][A-IWTX]?\b",),
        words=("pps", "ppsn", "public service"),
        check=by(pps),
        digits=7,
    ),
    Entity(
        "de-idnr",
        "Germany: tax identification",
        "which digits repeat, and the check digit",
        "36 574 261 809",
        strong=(r"\b\d{2} \d{3} \d{3} \d{3}\b",),
        weak=(D11,),
        words=("steuer id", "steueridentifikationsnummer", "idnr", "steuer", "steuerid", *TAX),
        check=by(idnr),
        digits=11,
    ),
    Entity(
        "de-stnr",
        "Germany: tax number",
        "the form of a federal state",
        "151/815/08156",
        weak=(r"\b\d{2,3}/\d{3,4}/\d{4,5}\b",),
        words=("steuernummer", "st nr", "stnr", "steuer", *TAX),
        check=by(stnr),
        certainty=Certainty.STRUCTURE,
        digits=10,
    ),
    Entity(
        "fr-nir",
        "France: social security",
        "sex, month, and two check digits, mod 97",
        "2 95 10 99 126 111 93",
        strong=(
            r"\b[12]\d{4}[0-9AB]\d{9}\b",
            r"\b[12] \d{2} \d{2} \d[0-9AB] \d{3} \d{3} \d{2}\b",
        ),
        check=by(nir),
        digits=14,
    ),
    Entity(
        "it-codice-fiscale",
        "Italy: tax code",
        "date, sex and check letter",
        "RCCMNL83S18D969H",
        strong=(r"\b[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]\b",),
        check=by(codicefiscale),
    ),
    Entity(
        "es-dni",
        "Spain: identity card",
        "check letter",
        "54362315-K",
        weak=(r"\b\d{8}[ -]?[A-Za-z]\b",),
        words=("dni", "nif", "documento", "identidad"),
        check=by(dni),
        digits=8,
    ),
    Entity(
        "es-nie",
        "Spain: foreigner",
        "check letter",
        "X-2482300-W",
        weak=(r"\b[XYZxyz]-?\d{7}-?[A-Za-z]\b",),
        words=("nie", "nif", "extranjero", "identidad"),
        check=by(nie),
        digits=7,
    ),
    Entity(
        "pt-nif",
        "Portugal: taxpayer",
        "check digit",
        "501964843",
        weak=(D9, r"\b\d{3} \d{3} \d{3}\b"),
        words=("nif", "contribuinte"),
        check=by(nif),
        digits=9,
    ),
    Entity(
        "nl-bsn",
        "Netherlands: citizen service",
        "check digit, mod 11",
        "111222333",
        weak=(D9,),
        words=("bsn", "burgerservicenummer", "sofinummer", "sofi"),
        check=by(bsn),
        digits=9,
    ),
    Entity(
        "be-nn",
        "Belgium: national register",
        "date and two check digits, mod 97",
        "85.07.30-033.28",
        strong=(r"\b\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}\b",),
        weak=(D11,),
        words=("rijksregister", "registre national", "nationaal nummer", "insz", "niss", "numéro national", *NATIONAL),
        check=births.be_nn,
        digits=11,
    ),
    Entity(
        "at-vnr",
        "Austria: social insurance",
        "check digit",
        "1237 010180",
        weak=(D10, r"\b\d{4} \d{6}\b"),
        words=("svnr", "sozialversicherung", "sozialversicherungsnummer", "versicherungsnummer", "sv nr", "vnr"),
        check=by(vnr),
        digits=10,
    ),
    Entity(
        "ch-ahv",
        "Switzerland: social insurance",
        "begins with 756; check digit",
        "756.9217.0769.85",
        strong=(r"\b756\.\d{4}\.\d{4}\.\d{2}\b", r"\b756\d{10}\b"),
        check=by(ahv),
        digits=13,
    ),
)
