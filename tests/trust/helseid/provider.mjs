// HelseID for tests of the API: the library oidc-provider in FAPI 2.0's profile, which issues the access tokens.
// Whoever the client names in login_hint logs in. Usage: node provider.mjs CONFIGURATION.json
// {issuer, port, audience, scopes, clients: [{id, jwk, redirect, name, claims}], persons: {key: claims}}

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

const configuration = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signing = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'PS256', kid: randomBytes(6).toString('hex') };
const ATTESTATION = 'nhn:tillitsrammeverk:parameters';
const of = Object.fromEntries(configuration.clients.map((client) => [client.id, client]));
const scope = configuration.scopes.join(' ');

const provider = new Provider(configuration.issuer, {
  clients: configuration.clients.map((client) => ({
    client_id: client.id,
    redirect_uris: client.redirect ? [client.redirect] : [],
    response_types: client.redirect ? ['code'] : [],
    grant_types: client.redirect ? ['authorization_code', 'refresh_token'] : ['client_credentials'],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    id_token_signed_response_alg: 'PS256',
    dpop_bound_access_tokens: true,
    authorization_details_types: client.redirect ? [ATTESTATION] : [],
    scope: `openid offline_access ${scope}`,
    jwks: { keys: [client.jwk] },
  })),
  jwks: { keys: [signing] },
  scopes: ['openid', 'offline_access', ...configuration.scopes],
  cookies: { keys: [randomBytes(24).toString('hex')] },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    fapi: { enabled: true, profile: '2.0' },
    dPoP: { enabled: true },
    clientCredentials: { enabled: true },
    richAuthorizationRequests: {
      enabled: true,
      types: { [ATTESTATION]: { validate() {} } },
      authorizationDetailsForGrantSource: (ctx) => ctx.oidc.grant.rar,
      authorizationDetailsForAccessToken: (ctx, token, source) => source?.rar,
      authorizationDetailsForIntrospection: (ctx, token) => token.rar,
    },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:varde',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope, audience: configuration.audience, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'PS256' } },
      }),
    },
  },
  enabledJWA: {
    idTokenSigningAlgValues: ['PS256'], clientAuthSigningAlgValues: ['ES256'], dPoPSigningAlgValues: ['ES256'],
    requestObjectSigningAlgValues: ['ES256'], userinfoSigningAlgValues: ['PS256'], introspectionSigningAlgValues: ['PS256'],
  },
  // What HelseID adds by the API's registration: of the client, and of the person.
  async extraTokenClaims(ctx, token) {
    const person = token.accountId ? configuration.persons[token.accountId] : {};
    return { ...of[token.clientId].claims, ...person };
  },
  async findAccount(ctx, key) {
    return configuration.persons[key] && { accountId: key, claims: async () => ({ sub: key }) };
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  ttl: { Session: 600, Grant: 600, AccessToken: 600, IdToken: 600, Interaction: 600 },
});
const handler = provider.callback();
createServer(async (request, response) => {
  if (!request.url.startsWith('/interaction/')) return handler(request, response);
  const { params, prompt } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: params.login_hint } });
  }
  const grant = new provider.Grant({ clientId: params.client_id, accountId: params.login_hint });
  grant.addOIDCScope(`openid offline_access ${scope}`);
  grant.addResourceScope('urn:varde', scope);
  for (const detail of JSON.parse(params.authorization_details ?? '[]')) grant.addRar(detail);
  const result = { consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}).listen(configuration.port, '127.0.0.1', () => console.log('ready'));
process.on('SIGTERM', () => process.exit(0));
