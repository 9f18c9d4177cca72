"""The table of numbers of people in Northern and Eastern Europe; by python-stdnum if it knows them. Knows no text."""

from stdnum.bg import egn
from stdnum.cz import rc
from stdnum.ee import ik
from stdnum.eu import vat
from stdnum.fi import hetu
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.is_ import kennitala
from stdnum.lt import asmens
from stdnum.lv import pvn
from stdnum.pl import pesel
from stdnum.ro import cnp
from stdnum.si import emso
from stdnum.tr import tckimlik
from stdnum.ua import rntrc

from hoopproxy.masking.content import births
from hoopproxy.masking.content.checks import by
from hoopproxy.masking.content.entity import Certainty, Entity
from hoopproxy.masking.content.signs import D10, D11, D12, D13, NATIONAL, TAX

NORTHERN_EUROPE = (
    Entity(
        "se-personnummer",
        "Sweden: person",
        "date and Luhn's check digit",
        "880320-0016",
        strong=(r"\b(?:19|20)\d{6}-\d{4}\b",),
        weak=(r"\b\d{6}[-+]\d{4}\b", D10, D12),
        words=("personnummer", "samordningsnummer", "pnr", "person nr", *NATIONAL),
        check=births.se_personnummer,
        digits=10,
    ),
    Entity(
        "dk-cpr",
        "Denmark: person",
        "the date in it",
        "211062-5629",
        weak=(r"\b\d{6}-\d{4}\b", D10),
        words=("cpr", "personnummer", *NATIONAL),
        check=births.dk_cpr,
        certainty=Certainty.STRUCTURE,
        digits=10,
    ),
    Entity(
        "no-fodselsnummer",
        "Norway: person",
        "date and two check digits",
        "151086 95088",
        strong=(r"\b\d{6} \d{5}\b",),
        weak=(D11,),
        words=("fødselsnummer", "fodselsnummer", "fnr", "personnummer", *NATIONAL),
        check=births.no_fodselsnummer,
        digits=11,
    ),
    Entity(
        "fi-hetu",
        "Finland: person",
        "date and check character",
        "131052-308T",
        strong=(r"\b\d{6}[-+ABCDEFYXWVU]\d{3}[0-9A-FHJ-NPR-Y]\b",),
        check=by(hetu),
        digits=9,
    ),
    Entity(
        "is-kennitala",
        "Iceland: person or firm",
        "date and check digit",
        "450401-3150",
        weak=(r"\b\d{6}-?\d{4}\b",),
        words=("kennitala", "kt", *NATIONAL),
        check=by(kennitala),
        digits=10,
    ),
    Entity(
        "ee-ik",
        "Estonia: person",
        "date and check digit",
        "36805280109",
        weak=(D11,),
        words=("isikukood", "ik", *NATIONAL),
        check=by(ik),
        digits=11,
    ),
    Entity(
        "lv-pk",
        "Latvia: person or firm",
        "date or check digit",
        "161175-19997",
        weak=(r"\b\d{6}-?\d{5}\b",),
        words=("personas kods", "pk", *NATIONAL),
        check=by(pvn),
        digits=11,
    ),
    Entity(
        "lt-asmens",
        "Lithuania: person",
        "date and check digit",
        "33309240064",
        weak=(D11,),
        words=("asmens kodas", "asmens", *NATIONAL),
        check=by(asmens),
        digits=11,
    ),
)

EASTERN_EUROPE = (
    Entity(
        "pl-pesel",
        "Poland: person",
        "date and check digit",
        "44051401359",
        weak=(D11,),
        words=("pesel", *NATIONAL),
        check=by(pesel),
        digits=11,
    ),
    Entity(
        "cz-rc",
        "Czechia and Slovakia: person",
        "date and divisibility by 11",
        "710319/2745",
        strong=(r"\b\d{6}/\d{4}\b",),
        weak=(D10,),
        words=("rodné číslo", "rodne cislo", "rč", "rc", *NATIONAL),
        check=by(rc),
        digits=10,
    ),
    Entity(
        "bg-egn",
        "Bulgaria: person",
        "date and check digit",
        "7523169263",
        weak=(D10,),
        words=("егн", "egn", *NATIONAL),
        check=by(egn),
        digits=10,
    ),
    Entity(
        "ro-cnp",
        "Romania: person",
        "date, county and check digit",
        "1630615123457",
        weak=(D13,),
        words=("cnp", "cod numeric personal", *NATIONAL),
        check=by(cnp),
        digits=13,
    ),
    Entity(
        "hr-oib",
        "Croatia: person or firm",
        "check digit, mod 11, 10",
        "33392005961",
        weak=(D11,),
        words=("oib", "osobni identifikacijski", *NATIONAL),
        check=by(oib),
        digits=11,
    ),
    Entity(
        "si-emso",
        "Slovenia and its neighbours: person",
        "date and check digit",
        "0101006500006",
        weak=(D13,),
        words=("emšo", "emso", "jmbg", "matični broj", *NATIONAL),
        check=by(emso),
        digits=13,
    ),
    Entity(
        "gr-amka",
        "Greece: social security",
        "date and Luhn's check digit",
        "01013099997",
        weak=(D11,),
        words=("αμκα", "amka", *NATIONAL),
        check=by(amka),
        digits=11,
    ),
    Entity(
        "ua-rntrc",
        "Ukraine: taxpayer",
        "check digit",
        "1759013776",
        weak=(D10,),
        words=("рнокпп", "іпн", "rnokpp", "rntrc", *TAX),
        check=by(rntrc),
        digits=10,
    ),
    Entity(
        "tr-tckn",
        "Türkiye: person",
        "two check digits",
        "17291716060",
        weak=(D11,),
        words=("tckn", "tc kimlik", "kimlik", *NATIONAL),
        check=by(tckimlik),
        digits=11,
    ),
    Entity(
        "eu-vat",
        "European Union: VAT number",
        "its country's form and check",
        "BE0428759497",
        weak=(
            r"\b(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK) ?[A-Z0-9]{8,12}\b",
        ),
        words=("vat", "ust id", "ust idnr", "ustid", "umsatzsteuer", "tva", "iva", "btw", "moms", "alv", "dph", "piva"),
        check=by(vat),
        digits=7,
    ),
)

NORTHERN_AND_EASTERN_EUROPE = (*NORTHERN_EUROPE, *EASTERN_EUROPE)
