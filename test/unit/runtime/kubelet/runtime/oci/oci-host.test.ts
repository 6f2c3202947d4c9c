/** Which program runs the containers of which RuntimeClass' handler. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  handlersOf,
  type ProgramFinding,
  programFor,
} from '../../../../../../src/runtime/kubelet/runtime/oci/oci-host.ts'

const found = (name: 'crun' | 'runc', problem = ''): ProgramFinding => ({
  ...{ name, version: '1', problem, program: { path: `/usr/bin/${name}`, state: `/run/${name}` } },
})
const handlers = (...findings: ProgramFinding[]) => handlersOf(findings).map(({ name }) => name)

test('the handler runc is the usual runtime, so that its classes work where only crun is installed', () => {
  assert.equal(programFor('runc', [found('crun')])?.name, 'crun')
  assert.equal(programFor('runc', [found('crun'), found('runc')])?.name, 'runc')
  assert.deepEqual(handlers(found('crun')), ['', 'crun', 'runc'])
  assert.deepEqual(handlers(found('crun'), found('runc')), ['', 'crun', 'runc'])
})

test('any other handler is the program of that name or nothing, and one that does not work is not offered', () => {
  assert.equal(programFor('crun', [found('runc')]), undefined)
  assert.equal(programFor('runc', [found('crun'), found('runc', 'too old')])?.problem, 'too old')
  assert.deepEqual(handlers(found('runc')), ['', 'runc'])
  assert.deepEqual(handlers(found('crun'), found('runc', 'too old')), ['', 'crun'])
})
