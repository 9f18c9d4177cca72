"""The table of what opens doors: keys, tokens and passwords in URLs. Knows no text."""

from hoopproxy.masking.content import checks
from hoopproxy.masking.content.entity import Certainty, Entity

CREDENTIALS = (
    Entity(
        "jwt",
        "JSON Web Token",
        "its first part is the header of one",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
        strong=(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*",),
        check=checks.jwt,
        literals=(b"eyJ",),
    ),
    Entity(
        "private-key",
        "Private key (PEM)",
        "its frame; where its end is not in the value, up to the value's end",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n-----END PRIVATE KEY-----",
        strong=(
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
            r"(?s:.*?)(?:-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|\z)",
        ),
        certainty=Certainty.STRUCTURE,
        literals=(b"-----BEGIN",),
    ),
    Entity(
        "url-credentials",
        "User, password and host in a URL",
        "its form; the scheme and the path stay",
        "postgres://app:hunter2@db.example.org/ledger",
        strong=(
            r"\b[A-Za-z][A-Za-z0-9+.-]*://"
            r"([^\s:/?#@\"'<>\\,{}]{0,128}:[^\s/?#@\"'<>\\,{}]{1,256}@(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]))",
        ),
        certainty=Certainty.CHECKED,
        literals=(b"://",),
    ),
    Entity(
        "aws-access-key",
        "AWS access key ID",
        "its prefix and alphabet",
        "AKIAIOSFODNN7EXAMPLE",
        strong=(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",),
        certainty=Certainty.STRUCTURE,
        literals=(b"AKIA", b"ASIA"),
    ),
    Entity(
        "aws-secret-key",
        "AWS secret access key",
        "its form alone",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        weak=(r"(?:^|[^A-Za-z0-9/+=])([A-Za-z0-9/+]{40})(?:$|[^A-Za-z0-9/+=])",),
        words=("secret access key", "aws secret", "aws secret key", "secret key"),
        certainty=Certainty.SHAPE,
    ),
    Entity(
        "github-token",
        "GitHub token",
        "its prefix and the CRC-32 that ends it",
        "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",
        strong=(r"\bgh[pousr]_[A-Za-z0-9]{36}\b",),
        check=checks.github,
        literals=(b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
    ),
    Entity(
        "gitlab-token",
        "GitLab token",
        "its prefix and length",
        "glpat-EXAMPLEexampleEXAMPL",
        strong=(r"\bgl(?:pat|dt|rt|ptt|ft|soat)-[A-Za-z0-9_-]{20,64}\b",),
        certainty=Certainty.STRUCTURE,
        literals=(b"glpat-", b"gldt-", b"glrt-", b"glptt-", b"glft-", b"glsoat-"),
    ),
    Entity(
        "google-api-key",
        "Google API key",
        "its prefix and length",
        "AIzaSyEXAMPLE-EXAMPLE-EXAMPLE_EXAMPLE00",
        strong=(r"\bAIza[0-9A-Za-z_-]{35}",),
        certainty=Certainty.STRUCTURE,
        literals=(b"AIza",),
    ),
    Entity(
        "slack-token",
        "Slack token",
        "its prefix and form",
        "xoxb-2222222222-EXAMPLEexample",
        strong=(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,128}\b",),
        certainty=Certainty.STRUCTURE,
        literals=(b"xox",),
    ),
    Entity(
        "stripe-key",
        "Stripe key",
        "its prefix and length",
        "sk_" + "test_EXAMPLEexampleEXAMPLEex",
        strong=(r"\b[srp]k_(?:live|test)_[A-Za-z0-9]{16,128}\b",),
        certainty=Certainty.STRUCTURE,
        literals=(b"k_live_", b"k_test_"),
    ),
)
