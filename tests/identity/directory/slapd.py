"""A real directory: OpenLDAP's slapd on free ports, with StartTLS and LDAPS, memberOf and password policy.

Ends with whoever started it.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from ldap3 import ALL_ATTRIBUTES, BASE, MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE, NONE, Connection, Server
from ldap3.core.exceptions import LDAPNoSuchObjectResult
from ldap3.utils.conv import escape_bytes

from hoopproxy.testing.certificates import Leaf
from tests.live.servers import Server as Program

SUFFIX = "dc=example,dc=test"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
ACCOUNT = f"cn=hoopproxy,{SUFFIX}"
"""As whom the gateway looks people up."""
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "admin-of-the-test"
TRIES_MAX = 20

LISTENS = "epoll: listen="
"""It says that it starts when its ports are taken, and this when it listens on them."""

CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {directory}/slapd.pid
TLSCACertificateFile {ca_file}
TLSCertificateFile {certificate_file}
TLSCertificateKeyFile {key_file}
threads 4
attributetype ( 1.3.6.1.4.1.4203.666.1.1 NAME 'objectGUID' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40
  EQUALITY octetStringMatch SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.4203.666.1.2 NAME 'userAccountControl' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.4203.666.1.3 NAME 'accountExpires' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.4203.666.1.9 NAME 'windowsUser' SUP top AUXILIARY
  MAY ( objectGUID $ userAccountControl $ accountExpires ) )
database mdb
maxsize 16777216
suffix "{suffix}"
rootdn "{admin}"
rootpw {admin_password}
directory {directory}/db
dbnosync
index objectClass,uid,member,memberOf,entryUUID eq
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
overlay ppolicy
ppolicy_default "cn=policy,{suffix}"
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
"""

LDIF = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: cn=policy,{SUFFIX}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword

dn: {ACCOUNT}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: hoopproxy
userPassword: looks-people-up
"""
ACCOUNT_PASSWORD = "looks-people-up"


class Slapd:
    """One directory, in `directory`; it may be stopped and started again, with what is in it on the same ports."""

    host = "127.0.0.1"

    def __init__(self, directory: Path, leaf: Leaf, ca_file: Path) -> None:
        self._conf = directory / "slapd.conf"
        self._leaf, self._ca_file, self._directory = leaf, ca_file, directory
        (directory / "db").mkdir(parents=True)
        self._conf.write_text(
            CONF.format(
                directory=directory,
                ca_file=ca_file,
                certificate_file=leaf.certificate_file,
                key_file=leaf.key_file,
                suffix=SUFFIX,
                admin=ADMIN,
                admin_password=ADMIN_PASSWORD,
            )
        )
        base = directory / "base.ldif"
        base.write_text(LDIF)
        subprocess.run(["/usr/sbin/slapadd", "-q", "-f", self._conf, "-l", base], check=True, capture_output=True)
        self._program: Program | None = None
        self.port = self.tls_port = 0
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.stop()

    @property
    def urls(self) -> tuple[str, str]:
        """LDAPS and, for StartTLS, LDAP."""
        return f"ldaps://{self.host}:{self.tls_port}", f"ldap://{self.host}:{self.port}"

    def start(self) -> None:
        for _ in range(TRIES_MAX):
            self.port, self.tls_port = self.port or _free_port(), self.tls_port or _free_port()
            try:
                ldaps, ldap = self.urls
                command = ["/usr/sbin/slapd", "-f", str(self._conf), "-h", f"{ldap} {ldaps}", "-d", "conns"]
                self._program = Program(command, LISTENS)
                return
            except OSError as why:
                if "Address already in use" not in str(why):
                    raise
                self.port = self.tls_port = 0
        raise OSError(f"no free port in {TRIES_MAX} tries")

    def stop(self) -> None:
        if self._program is not None:
            self._program.__exit__()
            self._program = None

    # What its administrator does -----------------------------------------------------------------------------------

    @contextmanager
    def _admin(self) -> Iterator[Connection]:
        server = Server(self.host, self.port, get_info=NONE)
        connection = Connection(server, ADMIN, ADMIN_PASSWORD, auto_bind=True, raise_exceptions=True)
        try:
            yield connection
        finally:
            connection.unbind()

    def add_person(self, uid: str, password: str = "", *, ou: str = PEOPLE, **attributes: Any) -> str:
        """Their distinguished name. `attributes` with several values are lists."""
        dn = f"uid={_escaped(uid)},{ou}"
        classes = ["inetOrgPerson", "windowsUser"]
        said = {"uid": uid, "cn": uid.title(), "sn": uid, **attributes}
        with self._admin() as admin:
            admin.add(dn, classes, said | ({"userPassword": password} if password else {}))
        return dn

    def add_group(self, cn: str, *members: str, ou: str = GROUPS) -> str:
        dn = f"cn={_escaped(cn)},{ou}"
        with self._admin() as admin:
            admin.add(dn, "groupOfNames", {"cn": cn, "member": [ADMIN, *members]})
        return dn

    def add(self, dn: str, classes: list[str], **attributes: Any) -> None:
        with self._admin() as admin:
            admin.add(dn, classes, attributes)

    def join(self, group: str, member: str) -> None:
        self._change(group, member=(MODIFY_ADD, [member]))

    def leave(self, group: str, member: str) -> None:
        self._change(group, member=(MODIFY_DELETE, [member]))

    def replace(self, dn: str, **attributes: Any) -> None:
        self._change(dn, **{name: (MODIFY_REPLACE, values) for name, values in attributes.items()})

    def rename(self, dn: str, uid: str) -> None:
        with self._admin() as admin:
            admin.modify_dn(dn, f"uid={uid}")

    def delete(self, *names: str) -> None:
        """Entries that need not be there."""
        with self._admin() as admin:
            for dn in names:
                with suppress(LDAPNoSuchObjectResult):
                    admin.delete(dn)

    def value(self, dn: str, attribute: str) -> str:
        """What an entry says, operational attributes included; "" for nothing."""
        with self._admin() as admin:
            admin.search(dn, "(objectClass=*)", BASE, attributes=[ALL_ATTRIBUTES, attribute])
            values = admin.response[0]["raw_attributes"].get(attribute, [])
            return values[0].decode() if values else ""

    def called(self, uid: str) -> list[str]:
        """Who the directory itself says has this name; of which each byte is escaped, so that none is special."""
        with self._admin() as admin:
            admin.search(PEOPLE, f"(uid={escape_bytes(uid.encode())})")
            return [each["dn"] for each in admin.response]

    def _change(self, dn: str, **changes: Any) -> None:
        with self._admin() as admin:
            admin.modify(dn, {name: [change] for name, change in changes.items()})


def _escaped(value: str) -> str:
    """All of it as pairs of hex digits (RFC 4514 §2.4), so that nothing in it is special."""
    return value if value.isascii() and value.isalnum() else "".join(f"\\{byte:02x}" for byte in value.encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def private_file(path: Path, text: str) -> Path:
    """A file for its owner alone."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path
