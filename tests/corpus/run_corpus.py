#!/usr/bin/env python3
"""hoopproxy masking corpus runner (stdlib only, Python >= 3.9).

  run_corpus.py --target DSN [--admin DSN] [--files bypass_public.jsonl ...] [--benign benign_public.jsonl ...]
                [--modes simple,ext_text,ext_binary,ext_nodescribe] [--json out.json] [-v]

DSN     postgresql://user:pass@host:port/db  (?sslmode=require for TLS; any other parameter goes into StartupMessage)
target  the gateway under test.   admin: direct superuser DSN, used to reset data between cases and as
        the reference for benign queries.  Load schema.sql into that database first.

Every byte the server sends after authentication is recorded and scanned: rows, notices, errors, ParameterStatus,
notifications, COPY and replication streams.  A leak is counted when a per-case pattern, or any encoding of a global
secret (secrets.json), appears in the raw bytes or in one of the reassembled views (column-wise / row-wise
concatenation of cells, reversed, code points -> characters).  Exit status: 0 only if leaks == 0 and benign broken == 0.
"""
import argparse, base64, binascii, collections, datetime, hashlib, hmac, json, os, re, secrets as _sec, socket, ssl, struct, sys, time, urllib.parse
HERE = os.path.dirname(os.path.abspath(__file__))

class Closed(Exception): pass

class PG:
    """Tiny raw frontend: sends messages, records every byte, splits backend messages."""
    def __init__(self, dsn, timeout=15, extra=None):
        u = urllib.parse.urlsplit(dsn); q = dict(urllib.parse.parse_qsl(u.query))
        self.user = urllib.parse.unquote(u.username or 'postgres'); self.pw = urllib.parse.unquote(u.password or '')
        self.s = socket.create_connection((u.hostname or '127.0.0.1', u.port or 5432), timeout=timeout); self.s.settimeout(timeout)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if q.pop('sslmode', 'disable') not in ('disable', 'allow', 'prefer'):
            self.s.sendall(struct.pack('!ii', 8, 80877103))
            if self.s.recv(1) != b'S': raise Closed('server refuses TLS')
            c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
            self.s = c.wrap_socket(self.s, server_hostname=u.hostname)
        p = {'user': self.user, 'database': (u.path or '/').lstrip('/') or self.user, **q, **(extra or {})}
        body = struct.pack('!i', 196608) + b''.join(k.encode() + b'\0' + v.encode() + b'\0' for k, v in p.items()) + b'\0'
        self.s.sendall(struct.pack('!i', len(body) + 4) + body)
        self.buf = bytearray(); self.rx = bytearray(); self.msgs = []
        self._auth(); self.until_ready()
    def send(self, t, b=b''): self.s.sendall(t + struct.pack('!i', len(b) + 4) + b)
    def recv(self):
        while True:
            if len(self.buf) >= 5:
                n = struct.unpack_from('!i', self.buf, 1)[0] + 1
                if len(self.buf) >= n:
                    t = bytes(self.buf[:1]); b = bytes(self.buf[5:n]); self.rx += self.buf[:n]; del self.buf[:n]
                    self.msgs.append((t, b)); return t, b
            d = self.s.recv(65536)
            if not d:
                self.rx += self.buf; raise Closed('connection closed by peer')
            self.buf += d
    def _auth(self):
        while True:
            t, b = self.recv()
            if t == b'E': raise Closed('auth: ' + err_text(b))
            if t != b'R': continue
            k = struct.unpack_from('!i', b)[0]
            if k == 0: break
            if k == 3: self.send(b'p', self.pw.encode() + b'\0')
            elif k == 5:
                i = hashlib.md5(self.pw.encode() + self.user.encode()).hexdigest()
                self.send(b'p', b'md5' + hashlib.md5(i.encode() + b[4:8]).hexdigest().encode() + b'\0')
            elif k == 10:
                nonce = base64.b64encode(_sec.token_bytes(18)).decode(); self._cf = f'n=,r={nonce}'; m = ('n,,' + self._cf).encode()
                self.send(b'p', b'SCRAM-SHA-256\0' + struct.pack('!i', len(m)) + m)
            elif k == 11:
                sf = b[4:].decode(); d = dict(x.split('=', 1) for x in sf.split(','))
                sp = hashlib.pbkdf2_hmac('sha256', self.pw.encode(), base64.b64decode(d['s']), int(d['i']))
                ck = hmac.new(sp, b'Client Key', 'sha256').digest(); w = f"c=biws,r={d['r']}"; am = f'{self._cf},{sf},{w}'.encode()
                pr = bytes(a ^ c for a, c in zip(ck, hmac.new(hashlib.sha256(ck).digest(), am, 'sha256').digest()))
                self.send(b'p', (w + ',p=' + base64.b64encode(pr).decode()).encode())
            elif k != 12: raise Closed(f'auth method {k} not supported')
        self.rx.clear(); self.msgs.clear()
    def until_ready(self):
        start = len(self.msgs)
        while True:
            t, b = self.recv()
            if t == b'G': self.send(b'f', b'corpus runner sends no data\0')
            if t == b'W':                                   # CopyBoth (replication): listen for a moment, then end it
                self.s.settimeout(1.5)
                try:
                    while True: self.recv()
                except (socket.timeout, TimeoutError): pass
                raise Closed('replication stream')
            if t == b'Z': return self.msgs[start:]
    def query(self, sql): self.send(b'Q', sql.encode('utf-8', 'surrogateescape') + b'\0'); return self.until_ready()
    def ext(self, sql, binary=False, describe='P', maxrows=0):
        sql = sql.encode('utf-8', 'surrogateescape')
        self.send(b'P', b'\0' + sql + b'\0' + struct.pack('!h', 0))
        if describe == 'S': self.send(b'D', b'S\0')
        self.send(b'B', b'\0\0' + struct.pack('!hh', 0, 0) + struct.pack('!hh', 1, int(binary)))
        if describe == 'P': self.send(b'D', b'P\0')
        self.send(b'E', b'\0' + struct.pack('!i', maxrows)); self.send(b'S'); return self.until_ready()
    def fastpath(self, oid, args, binary=False):
        b = struct.pack('!ihhh', oid, 1, int(binary), len(args)) if binary else struct.pack('!ihh', oid, 0, len(args))
        for a in args: a = a.encode(); b += struct.pack('!i', len(a)) + a
        self.send(b'F', b + struct.pack('!h', int(binary))); return self.until_ready()
    def close(self):
        try: self.send(b'X')
        except OSError: pass
        self.s.close()

def err_text(b): return ' | '.join(f[:1].decode() + '=' + f[1:].decode('utf-8', 'replace') for f in b.split(b'\0') if f)
def err_code(b): return next((f[1:].decode() for f in b.split(b'\0') if f[:1] == b'C'), '')
def cells(b):
    n = struct.unpack_from('!h', b)[0]; p = 2; out = []
    for _ in range(n):
        l = struct.unpack_from('!i', b, p)[0]; p += 4
        if l < 0: out.append(None)
        else: out.append(b[p:p + l]); p += l
    return out
def rowdesc(b):
    n = struct.unpack_from('!h', b)[0]; p = 2; out = []
    for _ in range(n):
        e = b.index(0, p); nm = b[p:e].decode('utf-8', 'replace'); p = e + 1
        tab, att, typ, ln, mod, fmt = struct.unpack_from('!ihihih', b, p); p += 18; out.append((nm, typ, fmt, tab, att))
    return out
def resultsets(msgs):
    """[{cols, rows, tag, copy}] in order of arrival"""
    rs = []; cur = None
    for t, b in msgs:
        if t == b'T': cur = {'cols': rowdesc(b), 'rows': [], 'tag': None, 'copy': b''}; rs.append(cur)
        elif t in b'DdHVE' or t in (b'C', b'I', b's'):
            if cur is None: cur = {'cols': [], 'rows': [], 'tag': None, 'copy': b''}; rs.append(cur)
            if t == b'D': cur['rows'].append(cells(b))
            elif t == b'd': cur['copy'] += b
            elif t == b'V': cur['rows'].append([b[4:]] if struct.unpack_from('!i', b)[0] >= 0 else [None])
            elif t == b'E': cur['error'] = (err_code(b), err_text(b)); cur = None
            elif t in (b'C', b'I', b's'): cur['tag'] = b[:-1].decode('utf-8', 'replace') if t == b'C' else t.decode(); cur = None
    return rs

# ---------------------------------------------------------------- leak scanner
class Scanner:
    def __init__(self, path):
        S = json.load(open(path)); self.S = S; pats = {}
        def add(p, why):
            if isinstance(p, str): p = p.encode()
            if len(p) >= 6: pats.setdefault(bytes(p), why)
        for s in S['text']:
            b = s.encode(); add(b, s); add(s.upper(), s + ' upper'); add(s.lower(), s + ' lower'); add(s[::-1], s + ' reversed')
            add(b.hex(), s + ' hex'); add(b.hex().upper(), s + ' HEX'); add(s.encode('utf-16-le'), s + ' utf16'); add(s.encode('utf-16-be'), s + ' utf16')
            add(urllib.parse.quote(s), s + ' urlenc'); add(s.encode('utf-8').translate(None, b'-') if s[0].isdigit() else b, s + ' digits')
            for k in range(3):
                e = base64.b64encode(b'\0' * k + b).rstrip(b'='); e = e[(0, 2, 3)[k]:len(e) - 1]; add(e, s + ' base64')
            for h in ('md5', 'sha1', 'sha256'): d = hashlib.new(h, b).hexdigest(); add(d, f'{s} {h}'); add(bytes.fromhex(d), f'{s} {h} raw')
            if re.fullmatch(r'\d{4}-\d\d-\d\d', s):
                y, m, d = s.split('-'); [add(x, s + ' datestyle') for x in (f'{d}/{m}/{y}', f'{m}/{d}/{y}', f'{d}.{m}.{y}', f'{m}-{d}-{y}', f'{d}-{m}-{y}')]
            if re.fullmatch(r'[0-9a-f]{20,}', s) or re.fullmatch(r'[0-9a-f-]{36}', s): add(base64.b64encode(bytes.fromhex(s.replace('-', ''))).rstrip(b'=')[:-1], s + ' b64 of bytes'); add(s.replace('-', ''), s + ' nodash')
        for x in S['binary_raw']: add(bytes.fromhex(x), 'raw ' + x)
        for x in S['binary_len_prefixed']: v = bytes.fromhex(x['hex']); add(struct.pack('!i', len(v)) + v, f"binary {x['t']} {x['hex']}")
        self.pats = pats
        self.num = re.compile(rb'(?<![0-9.])(?:' + b'|'.join(n.encode() for n in S['numbers']) + rb')(?![0-9])')
    def views(self, rx, msgs):
        yield 'raw', bytes(rx)
        cols = collections.defaultdict(list); rowcat = []; copy = []
        k = 0
        for t, b in msgs:
            if t in (b'T', b'H'): k += 1
            if t == b'D':
                c = cells(b); rowcat.append(b''.join(x or b'' for x in c))
                for i, x in enumerate(c): cols[k, i].append(x or b'')
            elif t == b'd':
                copy.append(b); rowcat.append(b.rstrip(b'\n'))
            elif t == b'V': cols['V', 0].append(b[4:])
            elif t == b'N': cols['N', 0].append(re.sub(rb'^.*?\0M([^\0]*)\0.*$', rb'\1', b, flags=re.S))
        yield 'copy', b''.join(copy)
        yield 'rows', b''.join(rowcat)
        allcols = [v for v in cols.values()]
        for v in allcols:
            yield 'col', b''.join(v); yield 'colrev', b''.join(reversed(v))
            try: yield 'codepoints', ''.join(chr(int(x)) for x in v if x).encode('utf-8', 'replace')
            except (ValueError, OverflowError): pass
        yield 'strip', re.sub(rb'[^0-9A-Za-z@.+-]', b'', b''.join(rowcat))
    def scan(self, rx, msgs, case):
        hits = []; glob = not case.get('ignore_global')
        pp = []
        for p in case['secret_visible_if_leaked']:
            if isinstance(p, str) and p.startswith('re:'): pp.append((re.compile(p[3:].encode()), p))
            elif isinstance(p, str) and p.startswith('hex:'): pp.append((re.compile(re.escape(bytes.fromhex(p[4:]))), p))
            elif not p.isdigit(): pp.append((re.compile(re.escape(p.encode())), p))
            else: pp.append((re.compile(rb'(?<![0-9.])' + p.encode() + rb'(?![0-9])'), p))
        for name, v in self.views(rx, msgs):
            for r, p in pp:
                if r.search(v): hits.append((name, p))
            if glob:
                for p, why in self.pats.items():
                    if p in v: hits.append((name, why)); break
                if name == 'raw':
                    m = self.num.search(v)
                    if m: hits.append((name, 'salary ' + m.group().decode()))
        return hits

# ---------------------------------------------------------------- execution
RESET = open(os.path.join(HERE, 'reset.sql')).read() if os.path.exists(os.path.join(HERE, 'reset.sql')) else None
SUBST = {}
def sub(t):
    for k, v in SUBST.items(): t = t.replace(k, v)
    return t
def run_stmts(c, case, mode):
    """runs all statements on connection c; returns list of (stmt, msgs)"""
    out = []
    for st in case['sql']:
        st = sub(st); n = len(c.msgs)
        if st.startswith('\\fastpath '):
            _, sig, *args = st.split(' ')
            m = c.query(f"SELECT '{sig}'::regprocedure::oid")
            oid = next((int(cells(b)[0]) for t, b in m if t == b'D'), 0)
            m = c.fastpath(oid, args)
        elif st.startswith('\\simple '): m = c.query(st[8:])
        elif st.startswith('\\rows '): _, k, st2 = st.split(' ', 2); m = c.ext(st2, maxrows=int(k))
        elif st.startswith('\\hexq '): c.send(b'Q', bytes.fromhex(st[6:]) + b'\0'); m = c.until_ready()
        elif mode == 'simple' or case.get('simple_only'): m = c.query(st)
        else: m = c.ext(st, binary=mode == 'ext_binary', describe={'ext_nodescribe': None, 'ext_describe_s': 'S'}.get(mode, 'P'))
        out.append((st, c.msgs[n:]))
    return out
def reset(admin_dsn, direct=False):
    if not admin_dsn or not RESET: return
    c = PG(admin_dsn)
    try: c.query(RESET)
    finally: c.close()
def modes_of(case, modes):
    if case.get('modes'): return [m for m in modes if m in case['modes']] or case['modes'][:1]
    if case.get('simple_only'): return ['simple']
    return modes
def bypass(args, sc):
    R = []; per = collections.Counter()
    for f in args.files:
        for line in open(f):
            case = json.loads(line)
            if args.only and not re.search(args.only, case['id']): continue
            for mode in modes_of(case, args.modes):
                c = None; note = ''; errs = []
                try:
                    c = PG(args.target, timeout=args.timeout, extra={k: sub(v) for k, v in (case.get('startup') or {}).items()}); c.msgs_start = 0
                    run_stmts(c, case, mode)
                except (Closed, OSError, struct.error) as e: note = f'{type(e).__name__}: {e}'
                msgs = c.msgs if c else []; rx = c.rx if c else b''
                if c: rx += c.buf if note else b''; c.close()
                errs = [err_code(b) for t, b in msgs if t == b'E']
                hits = sc.scan(rx, msgs, case)
                # a refused connection is a harness failure unless the case is about start-up parameters
                outcome = 'LEAK' if hits else 'noconn' if c is None and not case.get('startup') else ('denied' if errs or note else 'ok')
                R.append({'id': case['id'], 'class': case['class'], 'mode': mode, 'expect': case['expect'], 'outcome': outcome, 'hits': hits[:3], 'err': errs[:3], 'note': note,
                          'errmsg': [err_text(b)[:200] for t, b in msgs if t == b'E'][:2]})
                if args.verbose and (hits or args.verbose > 1): print(case['id'], mode, outcome, hits[:2], errs, note)
                if case.get('writes', True): reset(args.admin)
    return R
def norm(rs, case):
    out = []
    for r in rs:
        rows = [[None if x is None else x.hex() if any(y[2] for y in r['cols']) else x.decode('utf-8', 'replace') for x in row] for row in r['rows']]
        if case.get('compare') == 'unordered': rows.sort(key=repr)
        if case.get('compare') == 'shape': rows = []
        if case.get('normalize'):
            for pat, rep in case['normalize']: rows = [[None if x is None else re.sub(pat, rep, x) for x in row] for row in rows]
        out.append({'cols': [(a, b, c) for a, b, c, _, _ in r['cols']], 'rows': rows, 'tag': r['tag'] if case.get('compare') != 'shape' else None, 'copy': r['copy'].decode('latin1') if case.get('compare') != 'shape' else '', 'err': r.get('error', ('',))[0]})
    return out
def benign(args):
    R = []
    for f in args.benign:
        for line in open(f):
            case = json.loads(line)
            if args.only and not re.search(args.only, case['id']): continue
            for mode in modes_of(case, args.modes):
                res = []; tm = []
                for dsn in (args.admin, args.target):
                    try:
                        c = PG(dsn, timeout=args.timeout, extra={k: sub(v) for k, v in (case.get('startup') or {}).items()}); t0 = time.perf_counter(); r = run_stmts(c, case, mode); tm.append(time.perf_counter() - t0); c.close()
                        res.append([norm(resultsets(m), case) for _, m in r])
                    except (Closed, OSError) as e: res.append(f'{type(e).__name__}: {e}'); tm.append(0)
                    if case.get('writes'): reset(args.admin)
                bad_ref = isinstance(res[0], str) or any(x['err'] for st in res[0] for x in st)
                ok = res[0] == res[1] and not bad_ref
                R.append({'id': case['id'], 'class': case['class'], 'mode': mode, 'ok': ok, 'ref_error': bad_ref, 't': tm, 'diff': None if ok else repr(next(((a, b) for a, b in zip(res[0], res[1]) if a != b), (res[0], res[1])) if not isinstance(res[0], str) and not isinstance(res[1], str) else res)[:900]})
                if args.verbose and not ok: print('BROKEN', case['id'], mode, R[-1]['diff'][:400])
    return R
def main():
    ap = argparse.ArgumentParser(); ap.add_argument('--target', required=True); ap.add_argument('--admin'); ap.add_argument('--files', nargs='*', default=[]); ap.add_argument('--benign', nargs='*', default=[])
    ap.add_argument('--modes', default='simple,ext_text,ext_binary,ext_nodescribe'); ap.add_argument('--json'); ap.add_argument('-v', '--verbose', action='count', default=0); ap.add_argument('--only'); ap.add_argument('--timeout', type=float, default=15)
    ap.add_argument('--secrets', default=os.path.join(HERE, 'secrets.json'))
    a = ap.parse_args(); a.modes = a.modes.split(',')
    u = urllib.parse.urlsplit(a.admin or a.target); SUBST.update({'{PGPORT}': str(u.port or 5432), '{PGDATABASE}': u.path.lstrip('/'), '{PGSUPER}': u.username or 'postgres'})
    sc = Scanner(a.secrets); t0 = time.time(); B = bypass(a, sc) if a.files else []; t1 = time.time()
    leak = [r for r in B if r['outcome'] == 'LEAK' and r['expect'] != 'allowed']
    ids = sorted({r['id'] for r in B}); lid = sorted({r['id'] for r in leak})
    over = sorted({r['id'] for r in B if r['expect'] == 'masked' and r['outcome'] == 'denied'}); under = sorted({r['id'] for r in B if r['expect'] == 'denied' and r['outcome'] == 'ok'})
    noconn = [r for r in B if r['outcome'] == 'noconn']
    if noconn: print(f'INVALID RUN: {len(noconn)} cases could not connect to the target: {noconn[0]["note"]}')
    if B:
        print(f'bypass: {len(ids)} cases, {len(B)} runs; LEAKS: {len(lid)} cases / {len(leak)} runs; over-denied (expected masked, got error): {len(over)}; not refused though expected (no leak seen): {len(under)}; {t1 - t0:.1f}s')
        cc = collections.Counter(r['class'] for r in {x['id']: x for x in B}.values()); lc = collections.Counter(r['class'] for r in {x['id']: x for x in leak}.values())
        if a.verbose or leak:
            for k in sorted(cc): print(f'   {k:26s} leaks {lc.get(k, 0):3d} of {cc[k]:3d}')
    sys.stdout.flush()
    G = benign(a) if a.benign else []
    brk = sorted({r['id'] for r in G if not r['ok']}); gid = sorted({r['id'] for r in G})
    if G: print(f'benign: {len(gid)} queries, {len(G)} runs; BROKEN: {len(brk)} queries / {sum(not r["ok"] for r in G)} runs; {time.time() - t1:.1f}s')
    if a.json: json.dump({'bypass': B, 'benign': G, 'leaks': lid, 'over': over, 'under': under, 'broken': brk}, open(a.json, 'w'), indent=0)
    sys.exit(2 if noconn else 1 if leak or brk else 0)
if __name__ == '__main__': main()
