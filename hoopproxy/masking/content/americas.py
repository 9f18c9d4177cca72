"""The table of numbers of people in the Americas, by python-stdnum where it knows them. Knows no text."""

from stdnum.ar import cuit
from stdnum.br import cnpj, cpf
from stdnum.ca import bc_phn, sin
from stdnum.cl import rut
from stdnum.co import nit
from stdnum.ec import ci
from stdnum.mx import curp, rfc
from stdnum.us import ein, itin, rtn

from hoopproxy.masking.content import checks
from hoopproxy.masking.content.checks import by
from hoopproxy.masking.content.entity import Certainty, Entity
from hoopproxy.masking.content.signs import D9, D10, D11, PARTS, TAX

NORTH_AMERICA = (
    Entity(
        "us-ssn",
        "USA: Social Security number",
        "area, group and serial are ones that were given out",
        "536-90-4399",
        strong=(r"\b\d{3}-\d{2}-\d{4}\b",),
        weak=(D9, r"\b\d{3} \d{2} \d{4}\b"),
        words=("ssn", "social security", "soc sec", "ss number", *TAX),
        unless=PARTS,
        check=checks.ssn,
        certainty=Certainty.STRUCTURE,
        digits=9,
        shown=(0, 4),
    ),
    Entity(
        "us-itin",
        "USA: individual taxpayer number",
        "begins with 9, and has a group that was given out",
        "912-90-3456",
        strong=(r"\b9\d{2}-\d{2}-\d{4}\b",),
        weak=(D9,),
        words=("itin", *TAX),
        unless=PARTS,
        check=by(itin),
        certainty=Certainty.STRUCTURE,
        digits=9,
        shown=(0, 4),
    ),
    Entity(
        "us-ein",
        "USA: employer number",
        "its prefix is a campus of the IRS",
        "91-1144442",
        weak=(r"\b\d{2}-\d{7}\b", D9),
        words=("ein", "employer id", "employer identification", "fein", *TAX),
        check=by(ein),
        certainty=Certainty.SHAPE,
        digits=9,
    ),
    Entity(
        "us-routing",
        "USA: bank routing number",
        "check digit",
        "111000025",
        weak=(D9,),
        words=("routing", "aba", "rtn", "transit"),
        check=by(rtn),
        digits=9,
    ),
    Entity(
        "us-mbi",
        "USA: Medicare beneficiary",
        "its form of letters and digits, place by place",
        "1EG4-TE5-MK73",
        strong=(
            r"\b[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-[AC-HJKMNP-RT-Y]{2}\d{2}\b",
        ),
        weak=(
            r"\b[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d[AC-HJKMNP-RT-Y]{2}\d{2}\b",
        ),
        words=("mbi", "medicare", "beneficiary"),
        certainty=Certainty.STRUCTURE,
        digits=5,
    ),
    Entity(
        "us-npi",
        "USA: health care provider",
        "Luhn's check digit behind 80840",
        "1234567893",
        weak=(D10,),
        words=("npi", "provider", "provider id"),
        check=checks.npi,
        digits=10,
    ),
    Entity(
        "us-dea",
        "USA: prescriber (DEA)",
        "check digit",
        "AB1234563",
        weak=(r"\b[A-HJ-NPR-UX][A-Z9]\d{7}\b",),
        words=("dea", "prescriber"),
        check=checks.dea,
        digits=7,
    ),
    Entity(
        "ca-sin",
        "Canada: social insurance",
        "Luhn's check digit",
        "123-456-782",
        weak=(D9, r"\b\d{3}[ -]\d{3}[ -]\d{3}\b"),
        words=("sin", "social insurance", "nas", "assurance sociale"),
        check=by(sin),
        digits=9,
        shown=(0, 3),
    ),
    Entity(
        "ca-bc-phn",
        "Canada: health number of British Columbia",
        "begins with 9; check digit",
        "9698 658 215",
        weak=(D10, r"\b9\d{3} \d{3} \d{3}\b"),
        words=("phn", "health number", "care card", "msp"),
        check=by(bc_phn),
        digits=10,
    ),
    Entity(
        "mx-curp",
        "Mexico: population register",
        "date, state, sex and check digit",
        "BOXW310820HNERXN09",
        strong=(r"\b[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d\b",),
        check=by(curp),
        digits=7,
    ),
    Entity(
        "mx-rfc",
        "Mexico: taxpayer",
        "the date in it",
        "GODE561231GR8",
        weak=(r"\b[A-Z&]{3,4} ?\d{6} ?[A-Z0-9]{3}\b",),
        words=("rfc", "registro federal", *TAX),
        check=by(rfc),
        certainty=Certainty.STRUCTURE,
        digits=6,
    ),
)

SOUTH_AMERICA = (
    Entity(
        "br-cpf",
        "Brazil: person",
        "two check digits",
        "390.533.447-05",
        strong=(r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b",),
        weak=(D11,),
        words=("cpf", "cadastro", "contribuinte"),
        check=by(cpf),
        digits=11,
    ),
    Entity(
        "br-cnpj",
        "Brazil: firm",
        "two check digits",
        "16.727.230/0001-97",
        strong=(r"\b\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}\b",),
        weak=(r"\b\d{14}\b",),
        words=("cnpj", "cadastro"),
        check=by(cnpj),
        digits=14,
    ),
    Entity(
        "ar-cuit",
        "Argentina: taxpayer",
        "kind of person and check digit",
        "20-05536168-2",
        strong=(r"\b\d{2}-\d{8}-\d\b",),
        weak=(D11,),
        words=("cuit", "cuil"),
        check=by(cuit),
        digits=11,
    ),
    Entity(
        "cl-rut",
        "Chile: person or firm",
        "check character",
        "12.531.909-2",
        strong=(r"\b\d{1,2}\.\d{3}\.\d{3}-[0-9Kk]\b",),
        weak=(r"\b\d{7,8}-?[0-9Kk]\b",),
        words=("rut", "rol único", "rol unico"),
        check=by(rut),
        digits=7,
    ),
    Entity(
        "co-nit",
        "Colombia: taxpayer",
        "check digit",
        "213.123.432-1",
        strong=(r"\b\d{3}\.\d{3}\.\d{3}-\d\b",),
        weak=(r"\b\d{9}-?\d\b",),
        words=("nit", "cédula", "cedula"),
        check=by(nit),
        digits=10,
    ),
    Entity(
        "ec-ci",
        "Ecuador: person",
        "province and check digit",
        "171430710-3",
        weak=(r"\b\d{9}-?\d\b",),
        words=("cédula", "cedula", "ci", "identidad"),
        check=by(ci),
        digits=10,
    ),
)

AMERICAS = (*NORTH_AMERICA, *SOUTH_AMERICA)
