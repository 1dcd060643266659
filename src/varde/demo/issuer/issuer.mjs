// The demo's identity provider: two issuers of the certified library oidc-provider, one that speaks as ID-porten does
// and one as HelseID (FAPI 2.0), with a login page that lists the demo's invented persons. Never for real persons.
// Usage: node issuer.mjs CONFIGURATION.json   {socket, base, persons, clock, clients: {patient, staff}}

import { openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { randomBytes, generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const configuration = JSON.parse(readFileSync(process.argv[2], 'utf8'));

// The demo's clock: seconds ahead of this machine's, in eight bytes that every process of the demo shares.
if (configuration.clock) {
  const file = openSync(configuration.clock, 'r');
  const bytes = Buffer.alloc(8);
  const real = Date.now;
  Date.now = () => {
    readSync(file, bytes, 0, 8, 0);
    return real() + Math.round(bytes.readDoubleLE(0) * 1000);
  };
}

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signing = { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: randomBytes(6).toString('hex') };
const cookieKey = randomBytes(24).toString('hex');
const nonceSecret = randomBytes(32);

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c]);

const MOST_SHOWN = 40;
let directory = { at: 0, sides: {}, keys: {} };

// The list is read again when it was written anew; a large region's has tens of thousands of persons.
function read() {
  let at = 0;
  try {
    at = statSync(configuration.persons).mtimeMs;
  } catch {
    return directory;
  }
  if (at !== directory.at) {
    const sides = JSON.parse(readFileSync(configuration.persons, 'utf8'));
    const keys = {};
    for (const [side, list] of Object.entries(sides)) {
      keys[side] = new Map(list.map((person) => [person.key, person]));
      for (const person of list) person.words = `${person.name} ${person.detail} ${person.key}`.toLowerCase();
    }
    directory = { at, sides, keys };
  }
  return directory;
}

const persons = (side) => read().sides[side] ?? [];
const known = (side, key) => read().keys[side]?.get(key);

const STYLE = `:root{color-scheme:light dark;--ink:#1a2421;--quiet:#43514c;--ground:#f4f6f5;--card:#fff;--line:#b9c4c0;
--accent:#0b5d51;--on:#fff;--note:#fff4d6;--note-ink:#4a3500}
@media(prefers-color-scheme:dark){:root{--ink:#eef3f1;--quiet:#b6c3be;--ground:#131a18;--card:#1d2724;--line:#4a5853;
--accent:#7fd1c2;--on:#0c1a17;--note:#4a3c12;--note-ink:#fff0c4}}
*{box-sizing:border-box}body{font:1.0625rem/1.5 Inter,system-ui,sans-serif;margin:0;background:var(--ground);color:var(--ink)}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.75rem;line-height:1.25;margin:.25rem 0 1rem}
h2{font-size:1.125rem;margin:2rem 0 .5rem}p.note{background:var(--note);color:var(--note-ink);padding:.75rem 1rem;border-radius:.5rem}
form{margin:0}li form{height:100%}.search{display:flex;gap:.5rem;align-items:end;flex-wrap:wrap;max-width:36rem}.search div{flex:1 1 14rem}
input{font:inherit;color:inherit;background:var(--card);padding:.6rem .75rem;border:1px solid var(--quiet);border-radius:.4rem;width:100%;min-height:3rem}
label{display:block;font-weight:600;margin:0 0 .25rem}
ul{list-style:none;padding:0;margin:0;display:grid;gap:.5rem;grid-template-columns:repeat(auto-fill,minmax(min(18rem,100%),1fr))}
button{font:inherit;text-align:left;width:100%;height:100%;min-height:3rem;padding:.75rem 1rem;border:1px solid var(--line);
background:var(--card);border-radius:.6rem;cursor:pointer;color:inherit}button strong{display:block;font-weight:600}
button:hover{border-color:var(--accent)}button:focus-visible,input:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
button small{display:block;color:var(--quiet);font-size:.875rem}.key{font-variant-numeric:tabular-nums}
.find{width:auto;height:auto;background:var(--accent);border-color:var(--accent);color:var(--on);font-weight:600;padding:.75rem 1.5rem}
.none{color:var(--quiet)}`;

const shell = (title, body) => `<!doctype html><html lang="nb"><head><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>${STYLE}</style>
</head><body><main>${body}</main></body></html>`;

const list = (some) =>
  `<ul>${some
    .map(
      (person) => `<li><form method="post"><button name="person" value="${escape(person.key)}">
<strong>${escape(person.name)}</strong><small>${escape(person.detail)}</small>
<small class="key">${escape(person.key)}</small></button></form></li>`,
    )
    .join('')}</ul>`;

function page(side, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const all = persons(side);
  const title = side === 'patient' ? 'Logg inn som pasient' : 'Logg inn som ansatt';
  const search = `<form method="get" class="search"><div><label for="q">${
    side === 'patient' ? 'Søk etter navn, alder, sted eller fødselsnummer' : 'Søk etter navn, stilling eller avdeling'
  }</label><input id="q" name="q" value="${escape(query)}" autocomplete="off"></div><button class="find">Søk</button></form>`;
  let lists;
  if (words.length) {
    const found = all.filter((person) => words.every((word) => person.words.includes(word)));
    const shown = found.slice(0, MOST_SHOWN);
    const count = found.length > shown.length ? `De første ${shown.length} av ${found.length} treff` : `${found.length} treff`;
    lists = `<h2>${count}</h2>${shown.length ? list(shown) : '<p class="none">Ingen heter det. Prøv færre ord.</p>'}`;
  } else {
    const first = all.filter((person) => person.first);
    const rest = all.filter((person) => !person.first);
    lists = `<h2>${side === 'patient' ? 'Personer å begynne med' : 'Ansatte å begynne med'}</h2>${list(first)}
<h2>Noen av de ${rest.length} andre</h2>${list(rest.slice(0, MOST_SHOWN / 2))}`;
  }
  return shell(title, `<p class="note">Dette er en demonstrasjon. Alle personer er oppdiktet, og ingen trenger passord.</p>
<h1>${title}</h1>${search}${lists}`);
}

// Logging out by a form, as OpenID Connect has it: the library knows the query only, unless its cookies go to all sites.
async function readAsQuery(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  request.url = `/session/end?${body}`;
  request.originalUrl = `${request.originalUrl.split('?')[0]}?${body}`;
  request.method = 'GET';
}

// What HelseID asks of its clients beyond what ID-porten does: FAPI 2.0, signed requests, tokens bound to a key.
const asHelseId = () => ({
  fapi: { enabled: true, profile: '2.0' },
  requestObjects: { enabled: true, requireSignedRequestObject: true },
  dPoP: { enabled: true, nonceSecret, requireNonce: () => true },
});

function make(side) {
  const issuer = `${configuration.base}/${side}`;
  const client = configuration.clients[side];
  const staff = side === 'staff';
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        redirect_uris: [client.redirect],
        post_logout_redirect_uris: [client.home],
        backchannel_logout_uri: client.logout,
        backchannel_logout_session_required: true,
        token_endpoint_auth_method: 'private_key_jwt',
        id_token_signed_response_alg: staff ? 'PS256' : 'RS256',
        ...(staff ? { dpop_bound_access_tokens: true } : {}),
        jwks: { keys: client.keys },
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    jwks: { keys: [signing] },
    // Varde is on this machine: the library's own guard lets nothing out to it.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    cookies: { keys: [cookieKey], short: { path: '/' }, long: { path: '/' } },
    acrValues: staff ? [] : ['idporten-loa-substantial', 'idporten-loa-high'],
    features: {
      devInteractions: { enabled: false },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
      backchannelLogout: { enabled: true },
      ...(staff ? asHelseId() : {}),
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          // Nobody is asked twice in a demonstration: the form is sent with a button.
          ctx.body = shell('Logg ut', `<h1>Du er logget ut av Varde</h1>${form}
<p>Vil du også logge ut av demonstrasjonens innlogging?</p>
<button class="find" form="op.logoutForm" name="logout" value="yes">Ja, logg ut</button>`);
        },
      },
    },
    pkce: { required: () => true },
    scopes: ['openid', 'profile', 'helseid://scopes/identity/assurance_level', 'helseid://scopes/identity/security_level',
      'helseid://scopes/hpr/hpr_number'],
    conformIdTokenClaims: false,
    claims: {
      openid: ['sub', 'pid', 'acr', 'amr', 'auth_time', 'sid', 'name', 'helseid://claims/hpr/hpr_number',
        'helseid://claims/identity/assurance_level', 'helseid://claims/identity/security_level',
        'helseid://claims/client/claims/orgnr_parent'],
    },
    ttl: { Session: 8 * 3600, Grant: 8 * 3600, AccessToken: 600, IdToken: 600, Interaction: 3600 },
    async findAccount(ctx, key) {
      const person = known(side, key);
      if (!person) return undefined;
      return { accountId: key, claims: async () => ({ sub: person.subject, ...person.claims }) };
    },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope(ctx.oidc.params.scope);
      await grant.save();
      return grant;
    },
    interactions: { url: (ctx, interaction) => `${new URL(issuer).pathname}/interaction/${interaction.uid}` },
  });
  provider.proxy = true;
  const handler = provider.callback();
  return async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    if (request.method === 'POST' && url.pathname === '/session/end') await readAsQuery(request);
    const found = url.pathname.match(/^\/interaction\/([\w-]+)$/);
    if (!found) return handler(request, response);
    try {
      await provider.interactionDetails(request, response);
    } catch {
      response.writeHead(303, { location: client.home });
      return response.end();
    }
    if (request.method !== 'POST') {
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
      });
      return response.end(page(side, url.searchParams.get('q') ?? ''));
    }
    let body = '';
    for await (const chunk of request) {
      body += chunk;
      if (body.length > 4096) return response.writeHead(413).end();
    }
    const key = new URLSearchParams(body).get('person') ?? '';
    const person = known(side, key);
    const result = person
      ? { login: { accountId: key, ...(staff ? {} : { acr: person.acr ?? 'idporten-loa-high' }), amr: ['demo'], remember: false } }
      : { error: 'access_denied', error_description: 'no such person' };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  };
}

const handlers = { patient: make('patient'), staff: make('staff') };
const mount = new URL(configuration.base).pathname;
rmSync(configuration.socket, { force: true });
createServer((request, response) => {
  const side = ['patient', 'staff'].find((name) => request.url.startsWith(`${mount}/${name}/`));
  if (!side) return response.writeHead(404).end();
  request.originalUrl = request.url;
  request.url = request.url.slice(mount.length + side.length + 1);
  return handlers[side](request, response);
}).listen(configuration.socket, () => console.log('ready'));
process.on('SIGTERM', () => process.exit(0));
