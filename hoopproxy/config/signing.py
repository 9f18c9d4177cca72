"""The `[policy]` table of hoopproxy.toml: who signs the policy, and which signed one is in force.

Knows nothing of what is in a policy, and changes no file.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hoopproxy.access.bundle import Bundle, BundleRefused, Signing
from hoopproxy.config.document import Document
from hoopproxy.config.sentences import shown
from hoopproxy.config.tables import PolicyTable
from hoopproxy.disk.policies import Kept

DIRECTORY = "policy"
"""Of the gateway's `state_dir`: where the bundle in force is kept."""


def signing(main: Document, table: PolicyTable) -> Signing:
    """The signers with their keys. What is wrong with them is said; nobody counts twice."""
    keys: dict[str, bytes] = {}
    names: dict[bytes, str] = {}
    for index, signer in enumerate(table.signers):
        place = f"policy.signers[{index}]"
        key = _key(main, f"{place}.key", main.resolve(signer.key))
        if signer.name in keys:
            main.say(f"{place}.name is {shown(signer.name)}, who is listed already; wanted is each signer once.")
        elif key in names:
            main.say(f"{place}.key is the key of {names[key]}, too; wanted is one of {signer.name}'s own.")
        keys[signer.name] = key
        if key:
            names.setdefault(key, signer.name)
    if table.signatures_min > len(keys):
        main.say(
            f"policy.signatures_min is {table.signatures_min}, and there are {len(keys)} signers; wanted is a number "
            "that they can reach."
        )
    return Signing(keys, table.signatures_min)


def in_force(main: Document, table: PolicyTable, signing: Signing, state_dir: Path) -> Bundle | None:
    """The bundle that was applied last, and before any was, the first one; None: there is none that counts, which is
    said."""
    kept = Kept(state_dir / DIRECTORY)
    first = main.resolve(table.bundle)
    try:
        data, highest = kept.bundle(), kept.highest()
        if data is None and highest:
            main.say(
                f"policy: the bundle in {state_dir / DIRECTORY} is missing, and revision {highest} was applied; bring "
                "it back from a backup, or from whoever signed it."
            )
            return None
        bundle = Bundle.read(first.read_bytes() if data is None else data)
        bundle.verify(signing)
    except (OSError, ValueError) as why:
        main.say(f"policy: {_words(why, first)}")
        return None
    if bundle.revision.number < highest:
        main.say(
            f"policy: the bundle in {state_dir / DIRECTORY} is revision {bundle.revision.number}, and {highest} was "
            "applied already; an older policy never comes back. Bring back the newest from whoever signed it."
        )
        return None
    return bundle


def _words(why: OSError | ValueError, first: Path) -> str:
    match why:
        case FileNotFoundError():
            return (
                f"no policy was ever applied, and {first} is not there; wanted is the first bundle, which "
                f"`hoopproxy policy sign --bundle {first}` writes."
            )
        case OSError():
            return f"{why.filename} can't be read ({why.strerror})."
        case BundleRefused():
            return f"the bundle in force does not count. {why}"
        case _:
            return "the number of the highest revision that was applied can't be read; bring it back from a backup."


def _key(main: Document, place: str, path: Path) -> bytes:
    """b"" when the file is reported as unfit."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as why:
        main.say(f"{place} is {path}, which can't be read ({why.strerror}); wanted is an Ed25519 public key in PEM.")
        return b""
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        main.say(
            f"{place} is {path}, which holds none; wanted is an Ed25519 public key in PEM "
            "(hoopproxy policy keygen makes a pair)."
        )
        return b""
    return key.public_bytes_raw()
