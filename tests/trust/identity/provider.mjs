// ID-porten and HelseID for tests: one process, two issuers of the library oidc-provider, each on a port of its own.
// Nobody chooses on a page: whoever the test named logs in. On a third port a test says who that is, what goes wrong,
// and looks at what was asked. Usage: node provider.mjs CONFIGURATION.json

import { openSync, readFileSync, readSync } from 'node:fs';
import { createServer } from 'node:http';
import { createHash, createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';
import { decodeJwt, decodeProtectedHeader, importJWK, SignJWT } from 'jose';

// A caller that hangs up in the middle of its request must not end the process.
process.on("unhandledRejection", (reason) => console.error("unhandled:", reason?.code ?? reason));

const configuration = JSON.parse(readFileSync(process.argv[2], 'utf8'));

// The test's clock: seconds ahead of this machine's, in eight bytes that both processes see.
const file = openSync(configuration.clock, 'r');
const bytes = Buffer.alloc(8);
const real = Date.now;
Date.now = () => {
  readSync(file, bytes, 0, 8, 0);
  return real() + Math.round(bytes.readDoubleLE(0) * 1000);
};

const newKey = () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: randomBytes(6).toString('hex') };
};
const fresh = () => ({ persons: {}, tamper: {}, down: {}, slow: {}, seen: [] });
const foreign = newKey();
const keys = { patient: [newKey()], staff: [newKey()] };
const algorithm = { patient: 'RS256', staff: 'PS256' };
const cookieKey = randomBytes(24).toString('hex');
const nonceSecret = randomBytes(32);
const attested = new Set();
let state = fresh();

const HPR = 'helseid://claims/hpr/hpr_number';
const ASSURANCE = 'helseid://claims/identity/assurance_level';
const SECURITY = 'helseid://claims/identity/security_level';
const PARENT = 'helseid://claims/client/claims/orgnr_parent';
const CHILD = 'helseid://claims/client/claims/orgnr_child';

async function sign(side, { claims, header = {}, key = 'own' }) {
  const full = { alg: algorithm[side], kid: keys[side][0].kid, ...header };
  for (const part of [claims, full]) for (const name of Object.keys(part)) if (part[name] === null) delete part[name];
  if (key === 'none' || key === 'secret') {
    full.alg = key === 'none' ? 'none' : 'HS256';
    const input = [full, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    // The provider's public key taken for a secret: what a careless library would accept.
    const secret = JSON.stringify({ kty: 'RSA', n: keys[side][0].n, e: keys[side][0].e });
    return `${input}.${key === 'none' ? '' : createHmac('sha256', secret).update(input).digest('base64url')}`;
  }
  const jwk = key === 'foreign' ? foreign : keys[side][0];
  return new SignJWT(claims).setProtectedHeader(full).sign(await importJWK(jwk, full.alg));
}

const asHelseId = {
  fapi: { enabled: true, profile: '2.0' },
  requestObjects: { enabled: true, requireSignedRequestObject: true },
  dPoP: { enabled: true, nonceSecret, requireNonce: () => true },
};

// What the library keeps, shared by the provider before and after its keys are rotated.
const kept = new Map();
class Adapter {
  constructor(name) { this.name = name; }
  key(id) { return `${this.name}:${id}`; }
  async upsert(id, payload) { kept.set(this.key(id), payload); }
  async find(id) { return kept.get(this.key(id)); }
  async findByUid(uid) { return [...kept.entries()].find(([key, one]) => key.startsWith(`${this.name}:`) && one.uid === uid)?.[1]; }
  async consume(id) { kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { kept.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, one] of kept) if (one.grantId === grantId && key.startsWith(`${this.name}:`)) kept.delete(key);
  }
}

function make(side) {
  const staff = side === 'staff';
  const client = configuration.clients[side];
  const provider = new Provider(configuration.issuers[side], {
    clients: [{
      client_id: client.id,
      redirect_uris: [client.redirect],
      post_logout_redirect_uris: [client.home],
      backchannel_logout_uri: client.logout,
      backchannel_logout_session_required: true,
      token_endpoint_auth_method: 'private_key_jwt',
      id_token_signed_response_alg: algorithm[side],
      ...(staff ? { dpop_bound_access_tokens: true } : {}),
      jwks_uri: client.keys,
      grant_types: ['authorization_code', ...(staff ? ['refresh_token'] : [])],
      response_types: ['code'],
    }],
    adapter: Adapter,
    jwks: { keys: keys[side] },
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    cookies: { keys: [cookieKey], names: { session: `${side}_session`, interaction: `${side}_interaction`,
      resume: `${side}_resume` }, short: { path: '/' }, long: { path: '/' } },
    acrValues: staff ? [] : ['idporten-loa-substantial', 'idporten-loa-high'],
    features: {
      devInteractions: { enabled: false },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: (ctx, form) => { ctx.body = form; } },
      ...(staff ? asHelseId : {}),
    },
    pkce: { required: () => true },
    scopes: ['openid', 'profile', 'helseid://scopes/identity/assurance_level', 'helseid://scopes/identity/security_level',
      'helseid://scopes/hpr/hpr_number', 'offline_access', 'nhn:journal/read', 'nhn:journal/write'],
    // HelseID's identity claims come by UserInfo here, ID-porten's in the id_token.
    conformIdTokenClaims: staff,
    claims: {
      openid: ['sub', 'pid', 'acr', 'amr', 'auth_time', 'sid'],
      profile: ['name', PARENT, CHILD],
      'helseid://scopes/hpr/hpr_number': [HPR],
      'helseid://scopes/identity/assurance_level': [ASSURANCE],
      'helseid://scopes/identity/security_level': [SECURITY],
    },
    issueRefreshToken: async () => staff,
    rotateRefreshToken: true,
    ttl: { Session: 8 * 3600, Grant: 8 * 3600, AccessToken: 600, RefreshToken: 8 * 3600, IdToken: 600, Interaction: 3600 },
    async findAccount(ctx, sub) {
      return { accountId: sub, claims: async () => ({ sub, ...state.persons[side]?.claims }) };
    },
    async loadExistingGrant(ctx) {
      const { Grant } = ctx.oidc.provider;
      const grant = new Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope(ctx.oidc.params.scope);
      await grant.save();
      return grant;
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  });
  provider.use(async (ctx, next) => {
    await next();
    const tamper = state.tamper[side];
    if (!tamper || !ctx.path.startsWith(tamper.path ?? '/token') || typeof ctx.body !== 'object' || ctx.status >= 400) return;
    if (tamper.claims || tamper.key || tamper.header) {
      const token = ctx.body.id_token;
      const claims = { ...decodeJwt(token), ...tamper.claims };
      ctx.body.id_token = await sign(side, { claims, header: { ...decodeProtectedHeader(token), ...tamper.header }, key: tamper.key });
    }
    ctx.body = { ...ctx.body, ...tamper.body };
    for (const name of Object.keys(ctx.body)) if (ctx.body[name] === null) delete ctx.body[name];
  });
  const handler = provider.callback();
  return async (request, response, body) => {
    const found = request.url.match(/^\/interaction\/([\w-]+)$/);
    if (!found) return handler(request, response);
    const person = state.persons[side];
    const result = person
      ? { login: { accountId: person.sub, acr: person.acr, amr: ['TestID'], remember: false, ts: person.ts } }
      : { error: 'access_denied' };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  };
}

const handlers = { patient: make('patient'), staff: make('staff') };

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const answer = (response, status, body) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

// HelseID's own rule, which the library does not know: authorization_details at the login or at the token, never both.
function double(side, path, form) {
  const request = form.request ? decodeJwt(form.request) : {};
  if (path === '/request' && request.code_challenge && request.authorization_details) attested.add(request.code_challenge);
  if (path !== '/token' || side !== 'staff' || !form.client_assertion) return false;
  const challenge = form.code_verifier && createChallenge(form.code_verifier);
  return Boolean(decodeJwt(form.client_assertion).authorization_details) && attested.has(challenge);
}

const createChallenge = (verifier) => createHash('sha256').update(verifier).digest('base64url');

for (const side of ['patient', 'staff']) {
  createServer(async (request, response) => {
    const path = request.url.split('?')[0];
    if (state.slow[side]) await new Promise((done) => setTimeout(done, state.slow[side]));
    if (state.down[side]) return answer(response, 503, { error: 'temporarily_unavailable' });
    if (request.method === 'POST') {
      const text = await read(request);
      const form = Object.fromEntries(new URLSearchParams(text));
      state.seen.push({ side, path, form, dpop: request.headers.dpop ?? null });
      if (double(side, path, form)) return answer(response, 400, { error: 'access_denied', error_description: 'HID-DOUBLE-STRUCTURE' });
      if (path === '/session/end') {
        request.url = `/session/end?${text}`;
        request.method = 'GET';
      } else {
        request.body = form; // the library takes a body that was read before it
      }
    } else {
      state.seen.push({ side, path, form: {}, dpop: request.headers.dpop ?? null });
    }
    return handlers[side](request, response);
  }).listen(new URL(configuration.issuers[side]).port, '127.0.0.1');
}

createServer(async (request, response) => {
  const asked = JSON.parse((await read(request)) || '{}');
  if (request.url === '/reset') state = fresh();
  if (request.url === '/set') for (const [name, sides] of Object.entries(asked)) Object.assign(state[name], sides);
  if (request.url === '/rotate') {
    keys[asked.side] = asked.keep ? [newKey(), ...keys[asked.side]] : [newKey()];
    handlers[asked.side] = make(asked.side);
  }
  if (request.url === '/sign') return answer(response, 200, { token: await sign(asked.side, asked) });
  return answer(response, 200, { seen: state.seen });
}).listen(configuration.control, '127.0.0.1', () => console.log('ready'));
process.on('SIGTERM', () => process.exit(0));
