"""The site that everybody stands before, and the other proxies that are measured before it: nginx and mitmdump.

Knows no workload. As in `proxies`, settings are the defaults, except where a reason stands beside them.
"""

import os
import shutil
import sys
from pathlib import Path

from bench.lines import Leg
from bench.proxies import Daemon, Proxy, free_port, program
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.testing.installations import Account

NGINX = """\
daemon off;
# as everybody else here: one event loop, in the process that is watched
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # connections stay, at both ends
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    ssl_certificate {folder}/leaf.crt;
    ssl_certificate_key {folder}/leaf.key;
{body}}}
"""
"""What every nginx here begins with."""

SITE = """\
    sendfile on;
    server {{
        listen 127.0.0.1:{http} backlog=1024;
        listen 127.0.0.1:{https} ssl backlog=1024;
        root {folder}/site;
    }}
"""

REVERSE = """\
    upstream clear {{ server 127.0.0.1:{site_http}; keepalive 64; keepalive_requests 100000000; }}
    upstream secure {{ server 127.0.0.1:{site_https}; keepalive 64; keepalive_requests 100000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    # what is passed on is not kept on a disk on its way
    proxy_max_temp_file_size 0;
    server {{
        listen 127.0.0.1:{http} backlog=1024;
        location / {{ proxy_pass http://clear; }}
    }}
    server {{
        listen 127.0.0.1:{https} ssl backlog=1024;
        location / {{
            proxy_pass https://secure;
            # the gateway never does with less
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {folder}/ca.crt;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
        }}
    }}
"""


def site(account: Account, folder: Path, leaf: Leaf, files: dict[str, Path]) -> Proxy:
    """An nginx that serves `files` by their names. @raise ProxyFailed: it is not installed."""
    ports = {Leg.HTTP: free_port(), Leg.HTTPS: free_port()}
    (folder / "site").mkdir()
    for name, file in files.items():
        shutil.copyfile(file, folder / "site" / name)
    body = SITE.format(folder=folder, http=ports[Leg.HTTP], https=ports[Leg.HTTPS])
    return Proxy(_nginx(account, folder, leaf, body), ports)


def nginx(account: Account, folder: Path, authority: Authority, leaf: Leaf, site: Proxy) -> Proxy:
    """One as a reverse proxy. @raise ProxyFailed: it is not installed."""
    ports = {Leg.HTTP: free_port(), Leg.HTTPS: free_port()}
    shutil.copyfile(authority.ca_file, folder / "ca.crt")
    body = REVERSE.format(
        folder=folder,
        http=ports[Leg.HTTP],
        https=ports[Leg.HTTPS],
        site_http=site.ports[Leg.HTTP],
        site_https=site.ports[Leg.HTTPS],
    )
    return Proxy(_nginx(account, folder, leaf, body), ports)


def mitmdump(folder: Path, authority: Authority, leaf: Leaf, site: Proxy) -> Proxy:
    """mitmproxy's own, from the same environment as the gateway."""
    ports = {Leg.HTTP: free_port(), Leg.HTTPS: free_port()}
    pem = folder / "leaf.pem"
    pem.write_bytes(leaf.key_file.read_bytes() + leaf.certificate_file.read_bytes())
    command: list[str | Path] = [Path(sys.executable).with_name("mitmdump"), "--quiet"]
    for leg, scheme, host in ((Leg.HTTP, "http", "127.0.0.1"), (Leg.HTTPS, "https", "localhost")):
        command += ["--mode", f"reverse:{scheme}://{host}:{site.ports[leg]}@127.0.0.1:{ports[leg]}"]
    # Bodies pass as they come, as through everybody else, and are not held until they are whole.
    settings = {"confdir": folder, "ssl_verify_upstream_trusted_ca": authority.ca_file, "stream_large_bodies": "1m"}
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command += ["--certs", pem]
    ourselves = Account(os.geteuid(), os.getegid(), ourselves=True)
    return Proxy(Daemon(ourselves, command, folder / "mitmdump.log"), ports)


def _nginx(account: Account, folder: Path, leaf: Leaf, body: str) -> Daemon:
    shutil.copyfile(leaf.certificate_file, folder / "leaf.crt")
    shutil.copyfile(leaf.key_file, folder / "leaf.key")
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, body=body))
    for path in (folder, *folder.rglob("*")):
        account.own(path, 0o700 if path.is_dir() else 0o600)
    return Daemon(account, [program("nginx"), "-p", folder, "-c", config, "-e", "stderr"], folder / "nginx.log")
