"""What the tables of people's numbers share: runs of digits, and words that name a number in many countries."""

D8, D9, D10, D11, D12, D13, D16 = (rf"\b\d{{{count}}}\b" for count in (8, 9, 10, 11, 12, 13, 16))

TAX = ("tax id", "tax number", "tax no", "taxpayer", "tin")

NATIONAL = ("national id", "national number", "identity number", "personal number", "personal code", "id card")

PARTS = (
    *("part", "item", "sku", "order", "model", "serial", "catalog", "cat", "article", "ref", "reference", "p/n", "pn"),
    *("invoice", "ticket", "lot", "batch", "case", "version", "product", "stock", "isbn"),
)
"""Behind these a number of groups is one of theirs."""
