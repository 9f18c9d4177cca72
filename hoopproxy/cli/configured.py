"""What verbs read from a configuration: the whole of it, and where it keeps evidence. Opens and changes nothing."""

from pathlib import Path

from hoopproxy.cli.answers import Mistake
from hoopproxy.config.load import load
from hoopproxy.config.model import Config
from hoopproxy.errors import ConfigError


def configuration(path: Path) -> Config:
    """The configuration. @raise Mistake: with every sentence that `load` has to say."""
    try:
        return load(path)
    except ConfigError as why:
        raise Mistake(str(why)) from why


def recordings_directory(config: Config) -> Path:
    """Where recordings lie. @raise Mistake: the recorder keeps none on this disk."""
    return _directory(config, config.roles.recorder, "encrypted-recorder", "recordings")


def log_directory(config: Config) -> Path:
    """Where the log lies. @raise Mistake: the sink keeps none on this disk."""
    return _directory(config, config.roles.evidence, "log-file", "the log")


def _directory(config: Config, name: str, use: str, what: str) -> Path:
    addon = config.addons[name]
    found = addon.raw.get("directory")
    if addon.use != use or not isinstance(found, str):
        raise Mistake(
            f"{config.path.name}: addon.{name} is no {use} with a directory, so it is not known where {what} lie."
        )
    return config.path.parent / found
