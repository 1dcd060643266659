// What users of @medplum/core do, against the server at FHIR_BASE with FHIR_TOKEN.
import assert from 'node:assert/strict';
import { MedplumClient } from '@medplum/core';

const base = new URL(process.env.FHIR_BASE);
const medplum = new MedplumClient({
  baseUrl: base.origin + '/',
  fhirUrlPath: base.pathname.slice(1),
  accessToken: process.env.FHIR_TOKEN,
  cacheTime: 0,
});
const system = 'urn:client:medplum';
const identifier = (value) => [{ system, value }];

const made = await medplum.createResource({ resourceType: 'Patient', identifier: identifier('1'), name: [{ family: 'Medplum' }] });
assert.equal(made.meta.versionId, '1');
assert.equal((await medplum.readResource('Patient', made.id)).name[0].family, 'Medplum');
assert.equal((await medplum.readReference({ reference: `Patient/${made.id}` })).id, made.id);
const updated = await medplum.updateResource({ ...made, gender: 'female' });
assert.equal(updated.meta.versionId, '2');
const patched = await medplum.patchResource('Patient', made.id, [
  { op: 'test', path: '/meta/versionId', value: '2' },
  { op: 'replace', path: '/gender', value: 'male' },
]);
assert.equal(patched.gender, 'male');

const again = await medplum.createResourceIfNoneExist(
  { resourceType: 'Patient', identifier: identifier('1') },
  `identifier=${system}|1`
);
assert.equal(again.id, made.id);
const upserted = await medplum.upsertResource(
  { resourceType: 'Patient', identifier: identifier('2') },
  `identifier=${system}|2`
);
assert.equal(upserted.meta.versionId, '1');

for (let n = 0; n < 5; n++) {
  await medplum.createResource({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'x' },
    subject: { reference: `Patient/${made.id}` },
    effectiveDateTime: `2026-11-0${n + 1}`,
  });
}
const pages = [];
for await (const page of medplum.searchResourcePages('Observation', `patient=${made.id}&_count=2&_sort=-date`)) {
  pages.push(page.map((one) => one.effectiveDateTime));
}
assert.deepEqual(pages.flat(), [5, 4, 3, 2, 1].map((n) => `2026-11-0${n}`));
assert.equal(pages.length, 3);
const bundle = await medplum.search('Observation', { patient: made.id, _total: 'accurate', _count: '1', _include: 'Observation:subject' });
assert.equal(bundle.total, 5);
assert.equal(bundle.entry.filter((entry) => entry.search.mode === 'include').length, 1);
assert.equal((await medplum.searchOne('Patient', `identifier=${system}|2`)).id, upserted.id);

const answer = await medplum.executeBatch({
  resourceType: 'Bundle',
  type: 'transaction',
  entry: [
    {
      fullUrl: 'urn:uuid:0b7cdd5e-3e3f-4a52-8c5f-2d7ce2e5a001',
      request: { method: 'POST', url: 'Patient' },
      resource: { resourceType: 'Patient', identifier: identifier('3') },
    },
    {
      request: { method: 'POST', url: 'Observation' },
      resource: {
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'y' },
        subject: { reference: 'urn:uuid:0b7cdd5e-3e3f-4a52-8c5f-2d7ce2e5a001' },
      },
    },
  ],
});
const [patient, observation] = answer.entry.map((entry) => entry.response.location.split('/_history')[0]);
assert.equal((await medplum.readReference({ reference: observation })).subject.reference, patient);

const history = await medplum.readHistory('Patient', made.id);
assert.deepEqual(history.entry.map((entry) => entry.resource.meta.versionId), ['3', '2', '1']);
assert.equal((await medplum.readVersion('Patient', made.id, '2')).gender, 'female');
const outcome = await medplum.validateResource({ resourceType: 'Patient', gender: 'male' });
assert.equal(outcome.resourceType, 'OperationOutcome');
const meta = await medplum.get(medplum.fhirUrl('Patient', made.id, '$meta'));
assert.equal(meta.parameter[0].valueMeta.versionId, '3');

await medplum.deleteResource('Patient', upserted.id);
await assert.rejects(medplum.readResource('Patient', upserted.id), (error) => error.outcome.issue[0].code === 'deleted');
await assert.rejects(medplum.createResource({ resourceType: 'Patient', gender: 'wrong' }), (error) => error.outcome.issue[0].expression[0] === 'Patient.gender');
await assert.rejects(medplum.search('Patient', 'nonsense=1'), (error) => error.outcome.issue[0].code === 'not-supported');
console.log('done');
