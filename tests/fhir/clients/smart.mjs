// What users of the SMART JavaScript client (fhirclient) do, against the server at FHIR_BASE with FHIR_TOKEN.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const smart = createRequire(import.meta.url)('fhirclient');
const client = smart({ headers: {}, url: '/' }, {}, {}).client({
  serverUrl: process.env.FHIR_BASE,
  tokenResponse: { access_token: process.env.FHIR_TOKEN },
});

const made = await client.create({ resourceType: 'Patient', name: [{ family: 'Smart' }] });
assert.equal(made.meta.versionId, '1');
assert.equal((await client.request(`Patient/${made.id}`)).name[0].family, 'Smart');
const updated = await client.update({ ...made, gender: 'female' });
assert.equal(updated.meta.versionId, '2');
const patched = await client.patch(`Patient/${made.id}`, [{ op: 'replace', path: '/gender', value: 'other' }]);
assert.equal(patched.gender, 'other');

for (let n = 1; n <= 5; n++) {
  await client.create({
    resourceType: 'Observation', status: 'final', code: { text: 'x' },
    subject: { reference: `Patient/${made.id}` }, effectiveDateTime: `2026-11-0${n}`,
  });
}
const flat = await client.request(
  { url: `Observation?patient=${made.id}&_count=2&_sort=date` },
  { pageLimit: 0, flat: true, resolveReferences: ['subject'], graph: true }
);
assert.deepEqual(flat.map((one) => one.effectiveDateTime), [1, 2, 3, 4, 5].map((n) => `2026-11-0${n}`));
assert.equal(flat[0].subject.name[0].family, 'Smart');
const counted = await client.request(`Observation?patient=${made.id}&_summary=count`);
assert.equal(counted.total, 5);
const history = await client.request(`Patient/${made.id}/_history`);
assert.deepEqual(history.entry.map((entry) => entry.request.method), ['PUT', 'PUT', 'POST']);
assert.equal(await client.getFhirVersion(), '4.0.1');
assert.equal(await client.getFhirRelease(), 4);

const answer = await client.request({
  url: '', method: 'POST', headers: { 'content-type': 'application/fhir+json' },
  body: JSON.stringify({
    resourceType: 'Bundle', type: 'transaction',
    entry: [{ request: { method: 'POST', url: 'Patient' }, resource: { resourceType: 'Patient', active: true } }],
  }),
});
assert.ok(answer.entry[0].response.status.startsWith('201'));
const meta = await client.request(`Patient/${made.id}/$meta`);
assert.equal(meta.parameter[0].valueMeta.versionId, '3');
await client.delete(`Patient/${made.id}`);
await assert.rejects(client.request(`Patient/${made.id}`), (error) => error.status === 410);
await assert.rejects(client.request('Patient?nonsense=1'), (error) => error.status === 400);
const stranger = new smart.FhirClient(process.env.FHIR_BASE);
await assert.rejects(stranger.fhirRequest('Patient/none'), (error) => error.status === 401);
console.log('done');
