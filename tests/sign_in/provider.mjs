// A real OpenID provider on 127.0.0.1: codes with PKCE, device codes, client credentials, refresh, revocation,
// introspection, groups. usage: node provider.mjs PORT DIRECTORY
// In DIRECTORY: keys.json (private keys, the first of which signs), people.json ({name: [group, …]}, read each time),
// secret (of the clients `machine` and `gateway`).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [port, directory, modules] = [Number(process.argv[2]), process.argv[3], process.argv[4]];
const require = createRequire(pathToFileURL(join(modules, 'x.js')));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));
const read = (name) => readFileSync(join(directory, name), 'utf8');
const people = () => JSON.parse(read('people.json'));
const secret = read('secret').trim();
const issuer = `http://127.0.0.1:${port}`;
const api = { scope: 'db:read', audience: 'hoopproxy', accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'RS256' } } };

const provider = new Provider(issuer, {
  jwks: JSON.parse(read('keys.json')),
  cookies: { keys: [secret] },
  clients: [
    { client_id: 'cli', token_endpoint_auth_method: 'none', application_type: 'native', response_types: ['code'], redirect_uris: ['http://127.0.0.1/'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'] },
    { client_id: 'machine', client_secret: secret, grant_types: ['client_credentials'], response_types: [], redirect_uris: [] },
    { client_id: 'gateway', client_secret: secret, grant_types: [], response_types: [], redirect_uris: [] },
  ],
  claims: { openid: ['sub'], groups: ['groups'] },
  conformIdTokenClaims: false,
  scopes: ['openid', 'offline_access'],
  pkce: { required: () => true },
  ttl: { DeviceCode: 600, Grant: 3600, IdToken: 300, Interaction: 600, Session: 3600, RefreshToken: 3600, AccessToken: 300, ClientCredentials: 300 },
  async findAccount(_, id) { return id in people() ? { accountId: id, claims: () => ({ sub: id, groups: people()[id] }) } : undefined; },
  formats: { customizers: { async jwt(_, token, made) { made.payload.grant = token.grantId; } } },
  features: {
    devInteractions: { enabled: true }, deviceFlow: { enabled: true }, clientCredentials: { enabled: true },
    introspection: { enabled: true }, revocation: { enabled: true },
    resourceIndicators: { enabled: true, defaultResource: () => `${issuer}/api`, useGrantedResource: () => true, getResourceServerInfo: () => api },
  },
  async extraTokenClaims(_, token) { return { groups: token.accountId ? people()[token.accountId] : ['services'] }; },
});

// The library introspects opaque tokens alone. For a JWT of its own this answers as others do (RFC 7662 §2.2): it is
// active as long as its grant is there, which revocation of the refresh token takes away, and so is the person.
const basic = `Basic ${Buffer.from(`gateway:${secret}`).toString('base64')}`;
provider.use(async (ctx, next) => {
  if (ctx.path !== '/token/introspection' || ctx.method !== 'POST') return next();
  if (ctx.get('authorization') !== basic) { ctx.status = 401; return undefined; }
  const chunks = [];
  for await (const chunk of ctx.req) chunks.push(chunk);
  const token = new URLSearchParams(Buffer.concat(chunks).toString()).get('token');
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  const grant = claims.grant && await provider.Grant.find(claims.grant);
  const groups = people()[claims.sub];
  ctx.body = grant && groups ? { active: true, sub: claims.sub, groups, exp: claims.exp } : { active: false };
  return undefined;
});
provider.listen(port, '127.0.0.1', () => console.log('ready'));
