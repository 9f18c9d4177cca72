"""Prints Django's models of a database, views and partitions included: `inspectdb`. Reads libpq's words as JSON."""

import json
import sys

import django
from django.conf import settings
from django.core.management import call_command

WORDS = json.load(sys.stdin)
OPTIONS = {name: WORDS[name] for name in ("hostaddr", "sslmode", "sslrootcert")}

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": WORDS["dbname"],
            "USER": WORDS["user"],
            "PASSWORD": WORDS["password"],
            "HOST": WORDS["host"],
            "PORT": WORDS["port"],
            "OPTIONS": OPTIONS,
        }
    }
)
django.setup()
call_command("inspectdb", include_views=True, include_partitions=True)
