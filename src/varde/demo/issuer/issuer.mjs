// The demo's identity provider: two issuers (as ID-porten and as HelseID) of the certified library
// oidc-provider, with a login page that lists the demo's invented persons. Never for real persons.
// Usage: node issuer.mjs CONFIGURATION.json   {socket, base, persons, clock, clients: {patient, staff}}

import { openSync, readFileSync, readSync, rmSync } from 'node:fs';
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
const signing = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomBytes(6).toString('hex') };
const cookieKey = randomBytes(24).toString('hex');

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c]);

const persons = (side) => {
  try {
    return JSON.parse(readFileSync(configuration.persons, 'utf8'))[side] ?? [];
  } catch {
    return [];
  }
};

const STYLE = `body{font:1.125rem/1.5 Inter,system-ui,sans-serif;margin:0;background:#f4f6f5;color:#1a2421}
main{max-width:40rem;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.6rem;margin:.5rem 0}
p.note{background:#fff4d6;padding:.75rem 1rem;border-radius:.5rem}form{margin:0}
input{font:inherit;padding:.6rem .75rem;border:1px solid #5b6b66;border-radius:.4rem;width:100%;box-sizing:border-box}
label{display:block;font-weight:600;margin:1rem 0 .25rem}ul{list-style:none;padding:0;margin:1rem 0}
button{font:inherit;text-align:left;width:100%;min-height:3rem;padding:.75rem 1rem;border:1px solid #b9c4c0;
background:#fff;border-radius:.5rem;margin:.25rem 0;cursor:pointer;color:inherit}
button:hover{border-color:#0b5d51}button:focus-visible,input:focus-visible{outline:3px solid #0b5d51;outline-offset:2px}
button small{display:block;color:#43514c}.find{width:auto;background:#0b5d51;color:#fff;margin-top:.5rem}`;

function page(side, uid, query) {
  const wanted = query.toLowerCase();
  const all = persons(side);
  const shown = all
    .filter((p) => !wanted || `${p.name} ${p.detail}`.toLowerCase().includes(wanted))
    .slice(0, 40);
  const rows = shown
    .map(
      (p) => `<li><form method="post"><button name="person" value="${escape(p.key)}">${escape(p.name)}
<small>${escape(p.detail)}</small></button></form></li>`,
    )
    .join('');
  return `<!doctype html><html lang="nb"><head><meta charset="utf-8"><title>Velg en oppdiktet person</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head><body><main>
<h1>${side === 'patient' ? 'Logg inn som pasient' : 'Logg inn som ansatt'}</h1>
<p class="note">Dette er en demonstrasjon. Alle personer er oppdiktet.</p>
<form method="get"><label for="q">Søk etter navn, alder eller avdeling</label>
<input id="q" name="q" value="${escape(query)}" autocomplete="off"><button class="find">Søk</button></form>
<h2>${shown.length} av ${all.length} personer</h2><ul>${rows}</ul></main></body></html>`;
}

function make(side) {
  const issuer = `${configuration.base}/${side}`;
  const client = configuration.clients[side];
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        redirect_uris: [client.redirect],
        post_logout_redirect_uris: [client.home],
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        id_token_signed_response_alg: 'RS256',
        jwks: { keys: [client.jwk] },
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    jwks: { keys: [signing] },
    cookies: { keys: [cookieKey], short: { path: '/' }, long: { path: '/' } },
    acrValues: ['idporten-loa-substantial', 'idporten-loa-high', 'Level4'],
    features: {
      devInteractions: { enabled: false },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          // Nobody is asked twice in a demonstration: the form is sent with a button.
          ctx.body = `<!doctype html><html lang="nb"><head><meta charset="utf-8"><title>Logg ut</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head><body><main>
<h1>Du er logget ut av Varde</h1>${form}<p>Vil du også logge ut av demonstrasjonens innlogging?</p>
<button form="op.logoutForm" name="logout" value="yes">Ja, logg ut</button></main></body></html>`;
        },
      },
    },
    pkce: { required: () => true },
    conformIdTokenClaims: false,
    claims: {
      openid: ['sub', 'pid', 'acr', 'amr', 'auth_time', 'sid', 'name', 'helseid://claims/hpr/hpr_number',
        'helseid://claims/identity/assurance_level', 'helseid://claims/client/claims/orgnr_parent'],
    },
    ttl: { Session: 8 * 3600, Grant: 8 * 3600, AccessToken: 600, IdToken: 600, Interaction: 3600 },
    async findAccount(ctx, key) {
      const person = persons(side).find((p) => p.key === key);
      if (!person) return undefined;
      return { accountId: key, claims: async () => ({ sub: person.subject, ...person.claims }) };
    },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
    interactions: { url: (ctx, interaction) => `${new URL(issuer).pathname}/interaction/${interaction.uid}` },
    clockTolerance: 24 * 3600 * 3650, // the demo's clock may run ahead of this machine's
  });
  provider.proxy = true;
  const handler = provider.callback();
  return async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
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
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
      });
      return response.end(page(side, found[1], url.searchParams.get('q') ?? ''));
    }
    let body = '';
    for await (const chunk of request) {
      body += chunk;
      if (body.length > 4096) return response.writeHead(413).end();
    }
    const key = new URLSearchParams(body).get('person') ?? '';
    const person = persons(side).find((p) => p.key === key);
    const result = person
      ? { login: { accountId: key, acr: person.acr ?? (side === 'patient' ? 'idporten-loa-high' : 'Level4'), amr: ['demo'], remember: false } }
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
