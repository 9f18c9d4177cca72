"""The command `hoopproxy`: finds its verbs. Each lives in a file of its own; how they answer is in `answers`."""

from importlib import import_module

import click

VERBS = (
    "access",
    "accounts",
    "approvals",
    "ca",
    "check",
    "demo",
    "evidence",
    "kube-config",
    "login",
    "logout",
    "masks",
    "policy",
    "service-tokens",
    "sessions",
    "token",
)


class Verbs(click.Group):
    """Loads a verb's file when it is wanted: nobody waits for the parts of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb `V` is the object `V` in the file `V`, with "_" for each "-"."""
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("-", "_")
        verb: click.Command = getattr(import_module(f"hoopproxy.cli.{name}"), name)
        return verb


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hoopproxy")
def main() -> None:
    """hoopproxy, the Layer-7 access gateway for data residency.

    The gateway itself runs as `twistd -n hoopproxy --config conf/hoopproxy.toml`; these are the commands around it.

    Exit codes: 0 done, or the answer is yes; 1 failed, or the answer is no; 2 wrong usage or configuration; 3 no
    gateway answers.
    """
