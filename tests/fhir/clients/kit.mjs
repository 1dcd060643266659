// What users of fhir-kit-client do, against the server at FHIR_BASE with FHIR_TOKEN.
import assert from 'node:assert/strict';
import { CapabilityTool, Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.env.FHIR_BASE, bearerToken: process.env.FHIR_TOKEN });
const system = 'urn:client:kit';
const resourceType = 'Patient';

const statement = await client.capabilityStatement();
const tool = new CapabilityTool(statement);
assert.ok(tool.serverCan('transaction') && tool.serverSearch('_id'));
assert.ok(tool.resourceCan('Patient', 'update') && tool.resourceSearch('Patient', 'birthdate'));
const smart = await client.smartAuthMetadata();
assert.ok(smart);

const made = await client.create({ resourceType, body: { resourceType, identifier: [{ system, value: '1' }], name: [{ family: 'Kit' }] } });
const { id } = made;
assert.equal((await client.read({ resourceType, id })).id, id);
await client.update({ resourceType, id, body: { ...made, gender: 'female' }, options: { headers: { 'If-Match': 'W/"1"' } } });
await assert.rejects(
  client.update({ resourceType, id, body: made, options: { headers: { 'If-Match': 'W/"1"' } } }),
  (error) => error.response.status === 412
);
assert.equal((await client.vread({ resourceType, id, version: '1' })).gender, undefined);
const patched = await client.patch({ resourceType, id, jsonPatch: [{ op: 'replace', path: '/gender', value: 'other' }] });
assert.equal(patched.gender, 'other');
const conditional = await client.update({
  resourceType,
  searchParams: { identifier: `${system}|2` },
  body: { resourceType, identifier: [{ system, value: '2' }] },
});
assert.equal(conditional.meta.versionId, '1');
const once = await client.create({
  resourceType,
  body: { resourceType, identifier: [{ system, value: '2' }] },
  options: { headers: { 'If-None-Exist': `identifier=${system}|2` } },
});
assert.equal(once.id, conditional.id);

const transaction = await client.transaction({
  body: {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [1, 2, 3].map((n) => ({
      request: { method: 'PUT', url: `Observation/kit-${n}` },
      resource: {
        resourceType: 'Observation', id: `kit-${n}`, status: 'final', code: { text: 'x' },
        subject: { reference: `Patient/${id}` }, effectiveDateTime: `2026-11-0${n}`,
      },
    })),
  },
});
assert.equal(transaction.entry.length, 3);
const batch = await client.batch({
  body: {
    resourceType: 'Bundle',
    type: 'batch',
    entry: [
      { request: { method: 'GET', url: `Patient/${id}` } },
      { request: { method: 'GET', url: 'Patient/none' } },
    ],
  },
});
assert.deepEqual(batch.entry.map((entry) => entry.response.status.slice(0, 3)), ['200', '404']);

let bundle = await client.search({ resourceType: 'Observation', searchParams: { patient: id, _count: 2, _sort: 'date' } });
assert.equal(bundle.entry.length, 2);
bundle = await client.nextPage({ bundle });
assert.deepEqual(bundle.entry.map((entry) => entry.resource.id), ['kit-3']);
const counted = await client.search({ resourceType: 'Observation', searchParams: { patient: id, _summary: 'count' } });
assert.equal(counted.total, 3);
const posted = await client.search({ resourceType: 'Observation', searchParams: { patient: id }, options: { postSearch: true } });
assert.equal(posted.entry.length, 3);
const inside = await client.search({
  resourceType: 'Observation', compartment: { resourceType: 'Patient', id }, searchParams: { status: 'final' },
});
assert.equal(inside.entry.length, 3);
const all = await client.search({ searchParams: { _type: 'Observation', _id: 'kit-1' } });
assert.equal(all.entry.length, 1);

assert.equal((await client.history({ resourceType, id })).entry.length, 3);
assert.ok((await client.history({ resourceType })).entry.length >= 3);
assert.ok((await client.history()).entry.length >= 3);
const outcome = await client.operation({ name: '$validate', resourceType, input: { resourceType, gender: 'male' } });
assert.equal(outcome.resourceType, 'OperationOutcome');
const meta = await client.operation({ name: 'meta', resourceType, id, method: 'GET' });
assert.equal(meta.parameter[0].valueMeta.versionId, '3');

await client.delete({ resourceType: 'Observation', id: 'kit-1' });
await assert.rejects(client.read({ resourceType: 'Observation', id: 'kit-1' }), (error) => error.response.status === 410);
console.log('done');
