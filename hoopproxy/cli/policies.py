"""What verbs read of policies: the configuration with the policy in a file, be it a text or a bundle of one."""

from pathlib import Path

from hoopproxy.access.bundle import BundleRefused, text_of
from hoopproxy.cli.answers import Mistake
from hoopproxy.config.load import load
from hoopproxy.config.model import Config
from hoopproxy.disk.policies import read
from hoopproxy.errors import ConfigError


def policy_of(config_file: Path, policy: Path) -> Config:
    """The configuration with that policy in place of its own. @raise Mistake: with all that is wrong."""
    try:
        return load(config_file, text_of(read(policy)).encode())
    except OSError as why:
        raise Mistake(f"{policy}: {why.strerror}.") from why
    except BundleRefused as why:
        raise Mistake(f"{policy}: {why}") from why
    except ConfigError as why:
        raise Mistake(str(why)) from why
